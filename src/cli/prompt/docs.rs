//! What the server says about its commands, as the prompt needs it: `COMMAND DOCS`, or the bare `COMMAND`.
//!
//! Nothing here knows a command by name. A server with other commands gets other help.

use crate::resp::Reply;

/// How deep arguments and subcommands may be nested; what lies deeper is left out.
const DEPTH_MAX: usize = 8;

/// The commands of a server, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Docs {
    pub(crate) commands: Vec<CommandDoc>,
}

/// One command or subcommand.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CommandDoc {
    /// In upper case; of a subcommand only its own word.
    pub(crate) name: String,
    pub(crate) summary: String,
    pub(crate) since: String,
    pub(crate) group: String,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) subcommands: Vec<CommandDoc>,
}

/// One argument, which may consist of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Argument {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    /// The word that announces the argument, or is it.
    pub(crate) token: Option<String>,
    pub(crate) optional: bool,
    pub(crate) multiple: bool,
    pub(crate) parts: Vec<Argument>,
}

/// How an argument is built. All simple types are one, since a hint shows them alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Value,
    PureToken,
    OneOf,
    Block,
}

impl Docs {
    /// From the reply to `COMMAND DOCS`; `None` if it is something else.
    pub(crate) fn from_command_docs(reply: &Reply) -> Option<Docs> {
        Some(Docs { commands: sorted(command_docs(reply, DEPTH_MAX)?) })
    }

    /// From the reply to `COMMAND`, which has only names.
    pub(crate) fn from_command(reply: &Reply) -> Option<Docs> {
        let name_of = |entry: &Reply| match entry.elements() {
            Some([name, ..]) => upper_case(name),
            _ => None,
        };
        let commands = reply
            .elements()?
            .iter()
            .map(|entry| name_of(entry).map(|name| CommandDoc { name, ..CommandDoc::default() }))
            .collect::<Option<Vec<_>>>()?;
        Some(Docs { commands: sorted(commands) })
    }

    /// The command, or subcommand, that the words begin with, and how many words name it.
    pub(crate) fn find<Word: AsRef<[u8]>>(&self, words: &[Word]) -> Option<(&CommandDoc, usize)> {
        let command = by_name(&self.commands, words.first()?.as_ref())?;
        match words.get(1).and_then(|word| by_name(&command.subcommands, word.as_ref())) {
            Some(subcommand) => Some((subcommand, 2)),
            None => Some((command, 1)),
        }
    }

    /// The groups that the commands belong to, sorted.
    pub(crate) fn groups(&self) -> Vec<&str> {
        let mut groups: Vec<_> =
            self.commands.iter().map(|command| &*command.group).filter(|g| !g.is_empty()).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }
}

impl CommandDoc {
    /// What follows the name, each argument by itself: `queue`, `[COUNT count]`.
    pub(crate) fn syntax(&self) -> Vec<String> {
        if self.arguments.is_empty() && !self.subcommands.is_empty() {
            let names: Vec<_> = self.subcommands.iter().map(|subcommand| &*subcommand.name).collect();
            return vec![names.join("|")];
        }
        self.arguments.iter().map(Argument::syntax).collect()
    }
}

impl Argument {
    /// As a hint shows it: `queue`, `[COUNT count]`, `FROM queue [queue ...]`, `HEAD|TAIL`.
    pub(crate) fn syntax(&self) -> String {
        let mut shown = self.core();
        if let (Some(token), false) = (&self.token, self.kind == Kind::PureToken) {
            shown = format!("{token} {shown}");
        }
        if self.multiple {
            shown = format!("{shown} {}", self.more());
        }
        if self.optional { format!("[{shown}]") } else { shown }
    }

    /// What may follow a first value of an argument that can be repeated.
    pub(crate) fn more(&self) -> String {
        format!("[{} ...]", self.core())
    }

    /// What is still to be typed when `word` is the token that announces this argument; `None` if it is not.
    pub(crate) fn after_token(&self, word: &[u8]) -> Option<Vec<String>> {
        match (&self.token, self.kind, &*self.parts) {
            (Some(token), kind, parts) => token.as_bytes().eq_ignore_ascii_case(word).then(|| match kind {
                Kind::PureToken => Vec::new(),
                Kind::Block => parts.iter().map(Argument::syntax).collect(),
                Kind::Value | Kind::OneOf => vec![self.core()],
            }),
            (None, Kind::OneOf, parts) => parts.iter().find_map(|part| part.after_token(word)),
            (None, Kind::Block, [first, rest @ ..]) => {
                let mut awaited = first.after_token(word)?;
                awaited.extend(rest.iter().map(Argument::syntax));
                Some(awaited)
            }
            (None, _, _) => None,
        }
    }

    /// Every word that can be typed literally for this argument.
    pub(crate) fn tokens(&self) -> Vec<&str> {
        let nested = self.parts.iter().flat_map(Argument::tokens);
        self.token.as_deref().into_iter().chain(nested).collect()
    }

    fn core(&self) -> String {
        let parts = |between: &str| self.parts.iter().map(Argument::syntax).collect::<Vec<_>>().join(between);
        match (self.kind, &self.token) {
            (Kind::PureToken, Some(token)) => token.clone(),
            (Kind::OneOf, _) if !self.parts.is_empty() => parts("|"),
            (Kind::Block, _) if !self.parts.is_empty() => parts(" "),
            _ => self.name.clone(),
        }
    }
}

fn by_name<'a>(commands: &'a [CommandDoc], word: &[u8]) -> Option<&'a CommandDoc> {
    commands.iter().find(|command| command.name.as_bytes().eq_ignore_ascii_case(word))
}

fn sorted(mut commands: Vec<CommandDoc>) -> Vec<CommandDoc> {
    commands.sort_by(|a, b| a.name.cmp(&b.name));
    commands
}

fn command_docs(reply: &Reply, depth: usize) -> Option<Vec<CommandDoc>> {
    reply.pairs()?.into_iter().map(|(name, doc)| command_doc(name, doc, depth)).collect()
}

fn command_doc(name: &Reply, doc: &Reply, depth: usize) -> Option<CommandDoc> {
    let full_name = upper_case(name)?;
    let own_name = full_name.rsplit('|').next().unwrap_or_default().to_string();
    let mut command = CommandDoc { name: own_name, ..CommandDoc::default() };
    for (field, value) in doc.pairs()? {
        match field.bytes()? {
            b"summary" => command.summary = plain_text(value)?,
            b"since" => command.since = plain_text(value)?,
            b"group" => command.group = plain_text(value)?,
            b"arguments" => command.arguments = arguments(value, depth)?,
            b"subcommands" if depth > 0 => command.subcommands = sorted(command_docs(value, depth - 1)?),
            _ => {}
        }
    }
    Some(command)
}

fn arguments(reply: &Reply, depth: usize) -> Option<Vec<Argument>> {
    reply.elements()?.iter().map(|entry| argument(entry, depth)).collect()
}

fn argument(entry: &Reply, depth: usize) -> Option<Argument> {
    let mut argument = Argument::default();
    for (field, value) in entry.pairs()? {
        match field.bytes()? {
            b"name" if argument.name.is_empty() => argument.name = plain_text(value)?,
            b"display_text" => argument.name = plain_text(value)?,
            b"token" => argument.token = plain_text(value).filter(|token| !token.is_empty()),
            b"type" => {
                argument.kind = match value.bytes()? {
                    b"pure-token" => Kind::PureToken,
                    b"oneof" => Kind::OneOf,
                    b"block" => Kind::Block,
                    _ => Kind::Value,
                }
            }
            b"flags" => {
                for flag in value.elements()? {
                    argument.optional |= flag.bytes() == Some(b"optional");
                    argument.multiple |= flag.bytes() == Some(b"multiple");
                }
            }
            b"arguments" if depth > 0 => argument.parts = arguments(value, depth - 1)?,
            _ => {}
        }
    }
    Some(argument)
}

/// Text without control characters: it goes to the terminal as it is.
fn plain_text(reply: &Reply) -> Option<String> {
    let text = String::from_utf8_lossy(reply.bytes()?);
    Some(text.chars().filter(|character| !character.is_control()).collect())
}

fn upper_case(reply: &Reply) -> Option<String> {
    plain_text(reply).map(|name| name.to_ascii_uppercase())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::resp::decode_reply as decode;

    /// A RESP value in a line of text: `[…]` is an array, `{…}` a map, everything else words.
    fn canned(notation: &str) -> Reply {
        let spaced = notation.replace(['[', '{'], " [ ").replace([']', '}'], " ] ");
        let mut words = spaced.split_whitespace();
        fn list<'a>(words: &mut impl Iterator<Item = &'a str>) -> Vec<Reply> {
            let mut elements = Vec::new();
            while let Some(word) = words.next() {
                match word {
                    "[" => elements.push(Reply::Array(list(words))),
                    "]" => break,
                    word => elements.push(Reply::Text(word.replace('_', " ").into_bytes())),
                }
            }
            elements
        }
        Reply::Array(list(&mut words))
    }

    /// Four commands as a Disque server documents them.
    pub(in super::super) fn disque() -> Docs {
        let reply = canned(
            "addjob {summary Adds_a_job. since 1.0.0 group jobs arguments [
                {name queue type string} {name job type string} {name ms-timeout type integer}
                {name count type integer token REPLICATE flags [optional]}
                {name seconds type integer token RETRY flags [optional]}
                {name async type pure-token token ASYNC flags [optional]}]}
             getjob {summary Takes_jobs. since 1.0.0 group jobs arguments [
                {name nohang type pure-token token NOHANG flags [optional]}
                {name count type integer token COUNT flags [optional]}
                {name queue type string token FROM flags [multiple]}]}
             ackjob {summary Acks_jobs. since 1.0.0 group jobs arguments [
                {name id type string flags [multiple]}]}
             pause {summary Pauses_a_queue. since 1.0.0 group queues arguments [
                {name queue type string}
                {name option type oneof arguments [
                    {name in type pure-token token in} {name none type pure-token token none}]}]}
             config {summary Parameters. since 1.0.0 group server subcommands {
                config|get {summary Reads_one. since 1.0.0 group server arguments [{name pattern type string}]}
                config|set {summary Sets_one. since 1.0.0 group server arguments [
                    {name block type block flags [multiple] arguments [
                        {name parameter type string} {name value type string}]}]}}}",
        );
        Docs::from_command_docs(&reply).expect("well-formed")
    }

    fn syntax(words: &[&str]) -> String {
        disque().find(words).expect("known").0.syntax().join(" ")
    }

    #[test]
    fn syntax_shows_tokens_options_and_repetition() {
        assert_eq!(syntax(&["ADDJOB"]), "queue job ms-timeout [REPLICATE count] [RETRY seconds] [ASYNC]");
        assert_eq!(syntax(&["getjob"]), "[NOHANG] [COUNT count] FROM queue [queue ...]");
        assert_eq!(syntax(&["pause"]), "queue in|none");
        assert_eq!(syntax(&["config"]), "GET|SET");
        assert_eq!(syntax(&["Config", "set"]), "parameter value [parameter value ...]");
    }

    #[test]
    fn resp3_maps_and_resp2_flat_arrays_say_the_same() {
        let map = b"%1\r\n$4\r\nping\r\n%2\r\n$7\r\nsummary\r\n$4\r\nPong\r\n$9\r\narguments\r\n*0\r\n";
        let flat = b"*2\r\n$4\r\nping\r\n*4\r\n$7\r\nsummary\r\n$4\r\nPong\r\n$9\r\narguments\r\n*0\r\n";
        let docs = |wire: &[u8]| {
            let (reply, _) = decode(wire).expect("well-formed").expect("complete");
            Docs::from_command_docs(&reply).expect("docs")
        };
        assert_eq!(docs(map), docs(flat));
        assert_eq!(docs(map).commands[0].summary, "Pong");
    }

    #[test]
    fn bare_command_gives_names() {
        let docs = Docs::from_command(&canned("[qlen 2 [readonly fast] 0 0 0] [auth 2 [] 0 0 0]"));
        let names: Vec<_> = docs.expect("well-formed").commands.into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["AUTH", "QLEN"]);
    }

    #[test]
    fn other_replies_give_nothing() {
        assert_eq!(Docs::from_command_docs(&Reply::Error(b"ERR Unknown subcommand".to_vec())), None);
        assert_eq!(Docs::from_command_docs(&canned("[qlen 2] 3")), None);
        assert_eq!(Docs::from_command(&Reply::Integer(32)), None);
    }

    #[test]
    fn groups_are_sorted_and_unique() {
        assert_eq!(disque().groups(), ["jobs", "queues", "server"]);
    }
}
