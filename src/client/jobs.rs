//! The commands on jobs and queues as calls.

use std::time::Duration;

use super::{Client, Error, JobId, Reply, Twice, lossy, name_of};

/// A job that was fetched or looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The queue it came from.
    pub queue: Vec<u8>,
    /// Its ID.
    pub id: JobId,
    /// Its body.
    pub body: Vec<u8>,
    /// How often a worker gave it back. 0 from [`Client::peek`], which does not tell.
    pub nacks: u64,
    /// How often it was queued again for other reasons, such as a worker that died. 0 from [`Client::peek`].
    pub additional_deliveries: u64,
}

/// Options of ADDJOB. What is not set is left to the server.
#[derive(Clone, Debug, Default)]
pub struct AddOptions {
    timeout: Duration,
    words: Vec<Vec<u8>>,
}

impl AddOptions {
    /// Nothing set: no limit of the server's own for the copies but the reply time-out of the client.
    pub fn new() -> AddOptions {
        AddOptions::default()
    }

    /// How long the server may take to make the copies.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> AddOptions {
        AddOptions { timeout, ..self }
    }

    /// How many nodes keep a copy.
    #[must_use]
    pub fn replicate(self, copies: u16) -> AddOptions {
        self.option("REPLICATE", copies.to_string())
    }

    /// How long the job lives at most.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> AddOptions {
        self.option("TTL", duration(ttl))
    }

    /// After how long without acknowledgement the job is delivered again; zero is never.
    #[must_use]
    pub fn retry(self, retry: Duration) -> AddOptions {
        self.option("RETRY", duration(retry))
    }

    /// How long to wait before the first delivery.
    #[must_use]
    pub fn delay(self, delay: Duration) -> AddOptions {
        self.option("DELAY", duration(delay))
    }

    /// Refuse the job if its queue has so many.
    #[must_use]
    pub fn max_len(self, jobs: u64) -> AddOptions {
        self.option("MAXLEN", jobs.to_string())
    }

    /// Do not wait for the copies.
    #[must_use]
    pub fn asynchronous(mut self) -> AddOptions {
        self.words.push(b"ASYNC".to_vec());
        self
    }

    fn option(mut self, name: &str, value: String) -> AddOptions {
        self.words.extend([name.into(), value.into()]);
        self
    }
}

/// Options of GETJOB.
#[derive(Clone, Copy, Debug)]
pub struct GetOptions {
    count: u32,
    timeout: Duration,
}

impl Default for GetOptions {
    fn default() -> GetOptions {
        GetOptions { count: 1, timeout: Duration::from_secs(5) }
    }
}

impl GetOptions {
    /// One job, after 5 seconds of waiting at most.
    pub fn new() -> GetOptions {
        GetOptions::default()
    }

    /// Up to so many jobs. They all count as delivered at once.
    #[must_use]
    pub fn count(self, count: u32) -> GetOptions {
        GetOptions { count: count.max(1), ..self }
    }

    /// How long to wait for a first job, in milliseconds at least; zero is not at all.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> GetOptions {
        GetOptions { timeout, ..self }
    }
}

/// Names and values, as SHOW and QSTAT tell them.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields(Vec<(String, Reply)>);

impl Fields {
    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&Reply> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The value of a field that is a number.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Reply::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of a field that is text.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.bytes().map(lossy)
    }

    /// All fields in the order of the server.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Reply)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    fn from_reply(reply: &Reply) -> Option<Fields> {
        let pairs = reply.pairs()?.into_iter();
        let fields = pairs.map(|(name, value)| Some((lossy(name.bytes()?), value.clone())));
        fields.collect::<Option<_>>().map(Fields)
    }
}

impl Client {
    /// ADDJOB with the server's defaults.
    pub fn add_job(&mut self, queue: impl AsRef<[u8]>, body: impl AsRef<[u8]>) -> Result<JobId, Error> {
        self.add_job_with(queue, body, &AddOptions::default())
    }

    /// ADDJOB. After [`Error::Lost`] nobody knows whether the job was added.
    pub fn add_job_with(
        &mut self,
        queue: impl AsRef<[u8]>,
        body: impl AsRef<[u8]>,
        options: &AddOptions,
    ) -> Result<JobId, Error> {
        let mut words = vec![b"ADDJOB".to_vec(), queue.as_ref().to_vec(), body.as_ref().to_vec()];
        words.push(options.timeout.as_millis().to_string().into_bytes());
        words.extend(options.words.iter().cloned());
        let reply = self.run(&words, Twice::Harmful, options.timeout)?;
        reply.bytes().and_then(|text| JobId::parse(text).ok()).ok_or_else(|| unexpected(&words, &reply))
    }

    /// GETJOB: jobs of the first queue that has any; empty if none came in time. A reply that was lost takes its
    /// jobs with it until their retry time, as a worker that died would.
    pub fn get_jobs<Queue: AsRef<[u8]>>(
        &mut self,
        queues: &[Queue],
        options: GetOptions,
    ) -> Result<Vec<Job>, Error> {
        let mut words = vec![b"GETJOB".to_vec()];
        if options.timeout.is_zero() {
            words.push(b"NOHANG".to_vec());
        } else {
            // 0 would be for ever.
            let millis = options.timeout.as_millis().max(1);
            words.extend([b"TIMEOUT".to_vec(), millis.to_string().into_bytes()]);
        }
        words.extend([b"COUNT".to_vec(), options.count.to_string().into_bytes()]);
        words.extend([b"WITHCOUNTERS".to_vec(), b"FROM".to_vec()]);
        words.extend(queues.iter().map(|queue| queue.as_ref().to_vec()));
        let reply = self.run(&words, Twice::Harmless, options.timeout)?;
        jobs(&reply).ok_or_else(|| unexpected(&words, &reply))
    }

    /// ACKJOB: the jobs are done. How many of them the node knew.
    pub fn ack(&mut self, ids: &[JobId]) -> Result<u64, Error> {
        self.on_jobs("ACKJOB", ids, Twice::Harmless)
    }

    /// FASTACK: the same with fewer messages; during failures jobs may be delivered again.
    pub fn fast_ack(&mut self, ids: &[JobId]) -> Result<u64, Error> {
        self.on_jobs("FASTACK", ids, Twice::Harmless)
    }

    /// NACK: gives jobs back that could not be done, to be delivered again now.
    pub fn nack(&mut self, ids: &[JobId]) -> Result<u64, Error> {
        self.on_jobs("NACK", ids, Twice::Harmful)
    }

    /// ENQUEUE: queues jobs now that are not queued.
    pub fn enqueue(&mut self, ids: &[JobId]) -> Result<u64, Error> {
        self.on_jobs("ENQUEUE", ids, Twice::Harmless)
    }

    /// DEQUEUE: takes jobs out of their queue on this node until their retry time.
    pub fn dequeue(&mut self, ids: &[JobId]) -> Result<u64, Error> {
        self.on_jobs("DEQUEUE", ids, Twice::Harmless)
    }

    /// DELJOB: deletes jobs from the node in use only.
    pub fn delete(&mut self, ids: &[JobId]) -> Result<u64, Error> {
        self.on_jobs("DELJOB", ids, Twice::Harmless)
    }

    /// WORKING: postpones the next delivery of a job. For how long, to the second; zero if it is delivered only once.
    pub fn working(&mut self, id: &JobId) -> Result<Duration, Error> {
        let words = [b"WORKING".to_vec(), id.text().to_vec()];
        Ok(Duration::from_secs(self.number(&words, Twice::Harmless)?))
    }

    /// SHOW: what the node in use knows about a job; `None` if nothing.
    pub fn show(&mut self, id: &JobId) -> Result<Option<Fields>, Error> {
        self.fields(&[b"SHOW".to_vec(), id.text().to_vec()])
    }

    /// QSTAT: what the node in use knows about a queue; `None` if nothing.
    pub fn queue_stat(&mut self, queue: impl AsRef<[u8]>) -> Result<Option<Fields>, Error> {
        self.fields(&[b"QSTAT".to_vec(), queue.as_ref().to_vec()])
    }

    /// QLEN: how many jobs the node in use has in a queue.
    pub fn queue_len(&mut self, queue: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.number(&[b"QLEN".to_vec(), queue.as_ref().to_vec()], Twice::Harmless)
    }

    /// QPEEK: the oldest jobs of a queue, or with a negative count the newest, without taking them.
    pub fn peek(&mut self, queue: impl AsRef<[u8]>, count: i64) -> Result<Vec<Job>, Error> {
        let words = [b"QPEEK".to_vec(), queue.as_ref().to_vec(), count.to_string().into_bytes()];
        let reply = self.run(&words, Twice::Harmless, Duration::ZERO)?;
        jobs(&reply).ok_or_else(|| unexpected(&words, &reply))
    }

    fn on_jobs(&mut self, command: &str, ids: &[JobId], twice: Twice) -> Result<u64, Error> {
        let mut words = vec![command.as_bytes().to_vec()];
        words.extend(ids.iter().map(|id| id.text().to_vec()));
        self.number(&words, twice)
    }

    fn number(&mut self, words: &[Vec<u8>], twice: Twice) -> Result<u64, Error> {
        match self.run(words, twice, Duration::ZERO)? {
            Reply::Integer(number) if number >= 0 => Ok(number.unsigned_abs()),
            reply => Err(unexpected(words, &reply)),
        }
    }

    fn fields(&mut self, words: &[Vec<u8>]) -> Result<Option<Fields>, Error> {
        let reply = self.run(words, Twice::Harmless, Duration::ZERO)?;
        if reply.is_nil() {
            return Ok(None);
        }
        Fields::from_reply(&reply).map(Some).ok_or_else(|| unexpected(words, &reply))
    }
}

fn unexpected(words: &[Vec<u8>], reply: &Reply) -> Error {
    Error::Unexpected { command: name_of(words), reply: format!("{reply:?}") }
}

fn jobs(reply: &Reply) -> Option<Vec<Job>> {
    if reply.is_nil() {
        return Some(Vec::new());
    }
    reply.elements()?.iter().map(job).collect()
}

fn job(reply: &Reply) -> Option<Job> {
    let [queue, id, body, counters @ ..] = reply.elements()? else { return None };
    let counter = |index: usize| match counters.get(index) {
        Some(Reply::Integer(number)) => number.unsigned_abs(),
        _ => 0,
    };
    Some(Job {
        queue: queue.bytes()?.to_vec(),
        id: JobId::parse(id.bytes()?).ok()?,
        body: body.bytes()?.to_vec(),
        nacks: counter(1),
        additional_deliveries: counter(3),
    })
}

/// Whole seconds without a unit, which old servers know; milliseconds otherwise.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => duration.as_secs().to_string(),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_only_when_seconds_will_not_do() {
        assert_eq!(duration(Duration::from_secs(90)), "90");
        assert_eq!(duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(duration(Duration::ZERO), "0");
    }

    #[test]
    fn no_job_is_an_empty_list_and_nonsense_is_none() {
        assert_eq!(jobs(&Reply::NilArray), Some(Vec::new()));
        assert_eq!(jobs(&Reply::Integer(1)), None);
        assert_eq!(jobs(&Reply::Array(vec![Reply::Integer(1)])), None);
    }
}
