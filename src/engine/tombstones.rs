//! What is remembered of jobs that are gone.
