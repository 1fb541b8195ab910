//! What is asked and arranged on the side, in the words of each kind of server: queues made and removed, jobs and
//! waiting clients counted.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use redis_protocol::resp2::types::OwnedFrame;
use serde_json::{Value, json};

use super::control::Control;
use super::fault::Fault;
use super::peer::{Peer, Tongue};
use super::speech::{CONSUMER, Speech, hello};
use super::wire::connect;

/// How many queues are prepared with one round trip.
const CHUNK: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(60);
/// Nanoseconds after which a job that was got and not acknowledged is given out again: longer than any run.
const ACK_WAIT: u64 = 36_000_000_000_000;
/// Requests for jobs that may wait at a time.
const MAX_WAITING: u32 = 65_536;
const INBOX: &str = "_INBOX.side";

/// The side connection.
pub(super) enum Side {
    Resp(Control),
    Beanstalkd(Lines),
    Nats(Lines),
}

impl Side {
    pub(super) fn open(address: SocketAddr, peer: Peer) -> Result<Side, Fault> {
        Ok(match peer.tongue() {
            Tongue::Resp => Side::Resp(Control::open(address)?),
            Tongue::Beanstalkd => Side::Beanstalkd(Lines::open(address)?),
            Tongue::Nats => {
                let mut lines = Lines::open(address)?;
                lines.line()?;
                lines.send(&hello(INBOX.as_bytes()))?;
                Side::Nats(lines)
            }
        })
    }

    /// Makes sure that the queues exist and are empty; queues with jobs of others are a fault.
    pub(super) fn prepare(&mut self, speech: &Speech) -> Result<(), Fault> {
        let in_use = |queue: &[u8], jobs: i64| match jobs {
            0 => Ok(()),
            jobs => Err(Fault::QueueInUse { queue: String::from_utf8_lossy(queue).into_owned(), jobs }),
        };
        match self {
            Side::Resp(control) => {
                let lengths = of_every_queue(control, speech, Speech::write_len)?;
                for (queue, length) in speech.queues.iter().zip(lengths) {
                    match length {
                        OwnedFrame::Integer(jobs) => in_use(queue, jobs)?,
                        other => return Err(Fault::Malformed(format!("{other:?}"))),
                    }
                }
                of_every_queue(control, speech, Speech::write_create).map(drop)
            }
            Side::Beanstalkd(lines) => {
                let queue = &speech.queues[0];
                let name = String::from_utf8_lossy(queue).into_owned();
                let jobs = ["current-jobs-ready", "current-jobs-reserved", "current-jobs-delayed"];
                let stats = lines.yaml(&format!("stats-tube {name}"))?;
                in_use(queue, jobs.iter().filter_map(|field| yaml_number(&stats, field)).sum())
            }
            Side::Nats(lines) => {
                let stream = String::from_utf8_lossy(&speech.queues[0]).into_owned();
                let info = lines.api(&format!("STREAM.INFO.{stream}"), &json!({}))?;
                in_use(&speech.queues[0], info["state"]["messages"].as_i64().unwrap_or(0))?;
                self.remove(speech)?;
                self.create_stream(&stream, speech.replicate.unwrap_or(1))
            }
        }
    }

    fn create_stream(&mut self, stream: &str, replicas: u16) -> Result<(), Fault> {
        let Side::Nats(lines) = self else { return Ok(()) };
        let config = json!({
            "name": stream, "subjects": [stream], "retention": "workqueue", "storage": "memory",
            "num_replicas": replicas,
        });
        accepted(&lines.api(&format!("STREAM.CREATE.{stream}"), &config)?)?;
        let consumer = json!({"stream_name": stream, "config": {
            "durable_name": CONSUMER, "ack_policy": "explicit", "ack_wait": ACK_WAIT, "max_ack_pending": -1,
            "max_waiting": MAX_WAITING,
        }});
        accepted(&lines.api(&format!("CONSUMER.DURABLE.CREATE.{stream}.{CONSUMER}"), &consumer)?)
    }

    /// Removes what would be left of the queues.
    pub(super) fn remove(&mut self, speech: &Speech) -> Result<(), Fault> {
        match self {
            Side::Resp(control) => of_every_queue(control, speech, Speech::write_remove).map(drop),
            Side::Beanstalkd(_) => Ok(()),
            Side::Nats(lines) => {
                let stream = String::from_utf8_lossy(&speech.queues[0]).into_owned();
                lines.api(&format!("STREAM.DELETE.{stream}"), &json!({})).map(drop)
            }
        }
    }

    /// How many clients wait for jobs.
    pub(super) fn waiting_clients(&mut self, speech: &Speech) -> Result<u64, Fault> {
        Ok(match self {
            Side::Resp(control) => control.info("blocked_clients")?.unwrap_or(0),
            Side::Beanstalkd(lines) => {
                yaml_number(&lines.yaml("stats")?, "current-waiting").unwrap_or(0).unsigned_abs()
            }
            Side::Nats(lines) => {
                let stream = String::from_utf8_lossy(&speech.queues[0]).into_owned();
                let info = lines.api(&format!("CONSUMER.INFO.{stream}.{CONSUMER}"), &json!({}))?;
                info["num_waiting"].as_u64().unwrap_or(0)
            }
        })
    }
}

/// The replies to what is to be said for each queue.
fn of_every_queue(
    control: &mut Control,
    speech: &Speech,
    write: fn(&Speech, &mut Vec<u8>, u32) -> usize,
) -> Result<Vec<OwnedFrame>, Fault> {
    let mut replies = Vec::new();
    let queues = speech.queues.len();
    for start in (0..queues).step_by(CHUNK) {
        let mut bytes = Vec::new();
        let chunk = start..queues.min(start + CHUNK);
        let requests = chunk.map(|queue| write(speech, &mut bytes, queue as u32)).sum();
        control.send(&bytes)?;
        for _ in 0usize..requests {
            replies.push(control.reply()?);
        }
    }
    Ok(replies)
}

/// A connection whose protocol is lines.
pub(super) struct Lines {
    reader: BufReader<TcpStream>,
}

impl Lines {
    fn open(address: SocketAddr) -> Result<Lines, Fault> {
        let stream = connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Lines { reader: BufReader::new(stream) })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        Ok(self.reader.get_mut().write_all(bytes)?)
    }

    fn line(&mut self) -> Result<String, Fault> {
        let mut line = String::new();
        if self.reader.read_line(&mut line)? == 0 {
            return Err(Fault::Closed);
        }
        Ok(line.trim_end().to_string())
    }

    /// The data behind a line that ends with their length.
    fn data(&mut self, line: &str) -> Result<Vec<u8>, Fault> {
        let len: usize = line
            .rsplit(' ')
            .next()
            .and_then(|digits| digits.parse().ok())
            .filter(|len| *len < 1 << 24)
            .ok_or_else(|| Fault::Malformed(line.to_string()))?;
        let mut data = vec![0; len + 2];
        self.reader.read_exact(&mut data)?;
        data.truncate(len);
        Ok(data)
    }

    /// What beanstalkd knows; nothing of a tube that it does not know.
    fn yaml(&mut self, question: &str) -> Result<String, Fault> {
        self.send(format!("{question}\r\n").as_bytes())?;
        match self.line()?.as_str() {
            "NOT_FOUND" => Ok(String::new()),
            line if line.starts_with("OK ") => Ok(String::from_utf8_lossy(&self.data(line)?).into_owned()),
            other => Err(Fault::Refused(other.to_string())),
        }
    }

    /// The answer of JetStream to a request, which may be an error.
    fn api(&mut self, subject: &str, request: &Value) -> Result<Value, Fault> {
        let payload = request.to_string();
        let publish = format!("PUB $JS.API.{subject} {INBOX} {}\r\n{payload}\r\n", payload.len());
        self.send(publish.as_bytes())?;
        loop {
            let line = self.line()?;
            if line == "PING" {
                self.send(b"PONG\r\n")?;
            } else if line.starts_with("MSG ") {
                let data = self.data(&line)?;
                return serde_json::from_slice(&data).map_err(|error| Fault::Malformed(error.to_string()));
            } else if line.starts_with("HMSG ") {
                self.data(&line)?;
                return Err(Fault::Refused("no answer; does the server run with --jetstream?".to_string()));
            } else if line.starts_with("-ERR") {
                return Err(Fault::Refused(line));
            }
        }
    }
}

fn accepted(answer: &Value) -> Result<(), Fault> {
    match answer.get("error") {
        None => Ok(()),
        Some(error) => Err(Fault::Refused(error.to_string())),
    }
}

fn yaml_number(text: &str, field: &str) -> Option<i64> {
    text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": ")?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_beanstalkd_are_found_by_their_whole_name() {
        let text = "---\nname: q\ncurrent-jobs-ready-x: 9\ncurrent-jobs-ready: 3\n";
        assert_eq!(yaml_number(text, "current-jobs-ready"), Some(3));
        assert_eq!(yaml_number(text, "current-jobs"), None);
    }

    #[test]
    fn errors_of_jetstream_are_refusals() {
        assert!(accepted(&json!({"config": {}})).is_ok());
        assert!(matches!(accepted(&json!({"error": {"code": 400}})), Err(Fault::Refused(_))));
    }
}
