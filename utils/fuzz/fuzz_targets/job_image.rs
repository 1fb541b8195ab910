//! See `targets/job_image.rs`.
#![no_main]

disque_fuzz::fuzz!(disque_fuzz::targets::JOB_IMAGE);
