//! The state machine.

#[allow(dead_code, reason = "the parts of the engine are not put together yet")]
mod awake_wheel;
mod effect;
mod input;
#[allow(dead_code, reason = "the parts of the engine are not put together yet")]
mod job;
#[allow(dead_code, reason = "the parts of the engine are not put together yet")]
mod job_table;
#[allow(dead_code, reason = "the parts of the engine are not put together yet")]
mod queue;
mod reply;
mod request;
mod settings;

pub use effect::{BodyRef, Effect, Effects, JobRow, Rows};
pub use input::{ClientId, Control, Input};
pub use reply::{ClusterInfo, HelloNode, JobDetails, QueueDetails, Refusal, Reply};
pub use request::{
    AddJob, ClusterRequest, GetJob, JScan, JScanReply, JobState, JobStates, PauseState, QScan, Replication,
    Request, ScanBudget, Wait,
};
pub use settings::{EngineSettings, EvictionPolicy};
