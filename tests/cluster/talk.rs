//! Clients of the nodes: commands as people type them, replies as text.

use disque::command::reply::{self, ReplyContext};
use disque::command::{self, CommandTable, Runs};
use disque::engine::{ClientId, Control, Effects, Input, Reply};
use disque::resp::{Next, Output, Protocol, RequestReader};
use disque::types::Millis;

use crate::net::{Net, Place};

/// A reply as RESP2 with blanks for line ends: `$5 hello`, `*-1`, `+OK`.
pub fn text_of(reply: &Reply, effects: &Effects) -> String {
    let context = ReplyContext { protocol: Protocol::Resp2, local_ip: None, port: 7711 };
    let mut output = Output::new();
    reply::encode(reply, effects, &context, &mut output);
    let mut bytes = Vec::new();
    while !output.is_empty() {
        let mut slices = [std::io::IoSlice::new(&[]); 16];
        let count = output.slices(&mut slices);
        slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
        let written = slices[..count].iter().map(|slice| slice.len()).sum();
        output.consume(written);
    }
    String::from_utf8_lossy(&bytes).trim_end().replace("\r\n", " ")
}

impl Net {
    /// A client connects to a node and sends a command; what it is answered is found with [`Net::answer`].
    pub fn tell(&mut self, place: Place, line: &str) -> ClientId {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
        for word in &words {
            bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            bytes.extend_from_slice(word);
            bytes.extend_from_slice(b"\r\n");
        }
        let mut reader = RequestReader::new();
        assert!(matches!(reader.next(&bytes), Ok(Next::Request { .. })));
        let args = reader.args(&bytes);
        let spec = command::resolve(&CommandTable::new(), &args).expect("the command exists");
        let Runs::InEngine(parse) = spec.runs else { panic!("{line} runs in the shell") };
        let request = parse(args).unwrap_or_else(|error| panic!("{line}: {:?}", error.text()));
        let client = self.new_client();
        self.step(place, Input::Request { client, request });
        client
    }

    /// The client's oldest answer that was not asked for yet.
    pub fn answer(&mut self, place: Place, client: ClientId) -> Option<String> {
        let answers = self.nodes[place].clients.get_mut(&client)?;
        (!answers.is_empty()).then(|| answers.remove(0))
    }

    /// A command and its answer, which must come within a second.
    pub fn say(&mut self, place: Place, line: &str) -> String {
        let client = self.tell(place, line);
        self.await_answer(place, client, Millis(1000)).unwrap_or_else(|| panic!("no answer to {line}"))
    }

    /// The client's answer, if it comes in time.
    pub fn await_answer(&mut self, place: Place, client: ClientId, limit: Millis) -> Option<String> {
        let there =
            |net: &mut Net| net.nodes[place].clients.get(&client).is_some_and(|answers| !answers.is_empty());
        self.run_until(limit, there)?;
        self.answer(place, client)
    }

    /// Adds a job; its ID.
    pub fn add_job(&mut self, place: Place, line: &str) -> String {
        let answer = self.say(place, line);
        answer.strip_prefix('+').unwrap_or_else(|| panic!("{line}: {answer}")).to_owned()
    }

    /// Takes a job from a queue, if there is one: its ID.
    pub fn take(&mut self, place: Place, queue: &str) -> Option<String> {
        let answer = self.say(place, &format!("GETJOB NOHANG FROM {queue}"));
        job_in(&answer)
    }

    /// The client's connection ends.
    pub fn hang_up(&mut self, place: Place, client: ClientId) {
        self.step(place, Input::ClientGone { client });
    }

    /// A field of SHOW, `None` if the node does not know the job.
    pub fn show(&mut self, place: Place, job: &str, field: &str) -> Option<String> {
        let answer = self.say(place, &format!("SHOW {job}"));
        let words: Vec<&str> = answer.split(' ').collect();
        let at = words.iter().position(|word| *word == field)?;
        let value = words[at + 1];
        Some(if let Some(number) = value.strip_prefix(':') {
            number.to_owned()
        } else if let Some(len) = value.strip_prefix('*') {
            len.to_owned()
        } else {
            words[at + 2].to_owned()
        })
    }

    /// The job's state at each node, `-` where it is not known.
    pub fn states(&mut self, job: &str) -> Vec<String> {
        let places: Vec<Place> = (0..self.nodes.len()).filter(|place| self.nodes[*place].up).collect();
        places.iter().map(|place| self.show(*place, job, "state").unwrap_or_else(|| "-".to_owned())).collect()
    }

    /// How many nodes know the job.
    pub fn holders(&mut self, job: &str) -> usize {
        self.states(job).iter().filter(|state| *state != "-").count()
    }

    /// How many jobs all living nodes know.
    pub fn jobs(&self) -> usize {
        self.nodes.iter().filter(|node| node.up).map(|node| node.engine.job_count()).sum()
    }

    /// Makes a node short of memory, so that it keeps no new copies, or ends that.
    pub fn set_short_of_memory(&mut self, place: Place, short: bool) {
        self.nodes[place].settings.maxmemory = if short { 1 << 20 } else { 0 };
        let settings = self.nodes[place].settings.clone();
        self.control(place, Control::Settings(settings));
        self.control(place, Control::ShellMemory(if short { (1 << 20) * 4 / 5 } else { 0 }));
    }
}

/// The first job ID in an answer.
pub fn job_in(answer: &str) -> Option<String> {
    answer.split(' ').find(|word| word.len() == 40 && word.starts_with("D-")).map(str::to_owned)
}
