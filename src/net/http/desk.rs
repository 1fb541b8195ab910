//! Where the event loop answers the questions of the HTTP threads.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use super::{Settings, Shared};
use crate::admin::HttpFacts;
use crate::config::Config;
use crate::net::server::Server;

/// Something that a thread wants done in the event loop, between two steps. It carries where its answer goes.
pub(super) type Question = Box<dyn FnOnce(&mut Server) + Send>;

/// For how long questions are answered in one turn; a question that was begun is answered to its end.
const SHARE_OF_TURN: Duration = Duration::from_millis(1);

/// The questions, and what they have cost.
pub(crate) struct Desk {
    questions: Receiver<Question>,
    shared: Arc<Shared>,
    /// There may be questions.
    is_due: bool,
    spent: Duration,
    longest: Duration,
}

impl Desk {
    pub(super) fn new(questions: Receiver<Question>, shared: Arc<Shared>) -> Desk {
        Desk { questions, shared, is_due: false, spent: Duration::ZERO, longest: Duration::ZERO }
    }

    /// A thread has woken the loop; perhaps for a question.
    pub(crate) fn woken(&mut self) {
        self.is_due = true;
    }

    /// Whether the next turn must not wait.
    pub(crate) fn is_due(&self) -> bool {
        self.is_due
    }

    /// Takes over what may change while the server runs.
    pub(crate) fn configure(&self, config: &Config) {
        let settings = Settings::of(config);
        *self.shared.settings.write() = settings;
    }

    /// What it has cost so far.
    pub(super) fn facts(&self) -> HttpFacts {
        let nanos = |span: Duration| u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        HttpFacts {
            requests: self.shared.requests.lock().iter().map(|(code, count)| (*code, *count)).collect(),
            loop_nanos: nanos(self.spent),
            longest_nanos: nanos(self.longest),
        }
    }
}

impl Server {
    /// Answers questions for a small part of a turn; the rest waits for the next.
    pub(in crate::net) fn answer_questions(&mut self) {
        if !self.http.as_ref().is_some_and(Desk::is_due) {
            return;
        }
        let begin = Instant::now();
        let mut before = begin;
        loop {
            let desk = self.http.as_mut().expect("it was just seen");
            let Ok(question) = desk.questions.try_recv() else {
                desk.is_due = false;
                return;
            };
            question(self);
            let after = Instant::now();
            let desk = self.http.as_mut().expect("questions leave it");
            desk.spent += after - before;
            desk.longest = desk.longest.max(after - before);
            before = after;
            if after - begin >= SHARE_OF_TURN {
                return;
            }
        }
    }
}
