//! Runs a case on a real server, emptied before.

use std::collections::BTreeMap;
use std::time::Instant;

use disque::resp::Value;

use crate::Driver;
use crate::step::Setting;
use crate::support::{Connection, PATIENCE};

pub struct ServerDriver {
    port: u16,
    clients: BTreeMap<String, Connection>,
    operator: Connection,
}

impl ServerDriver {
    pub fn new(port: u16) -> ServerDriver {
        let mut operator = Connection::open(port);
        assert_eq!(operator.run("DEBUG FLUSHALL"), Value::ok());
        assert_eq!(operator.run("CLUSTER LEAVING no"), Value::ok());
        ServerDriver { port, clients: BTreeMap::new(), operator }
    }

    fn client(&mut self, name: &str) -> &mut Connection {
        let port = self.port;
        self.clients.entry(name.to_owned()).or_insert_with(|| Connection::open(port))
    }

    /// Asks the operator's connection until the answer holds.
    fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&mut Connection) -> bool) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        while !holds(&mut self.operator) {
            if Instant::now() > until {
                return Err(format!("waited in vain for: {what}"));
            }
        }
        Ok(())
    }
}

/// Whether the connection from this address waits, or, with `None`, is gone.
fn has_flag(operator: &mut Connection, addr: &str, flag: Option<&str>) -> bool {
    let Value::Bulk(list) = operator.run("CLIENT LIST") else { panic!("CLIENT LIST answers a bulk") };
    let list = String::from_utf8(list).expect("CLIENT LIST is text");
    let line = list.lines().find(|line| line.contains(&format!("addr={addr} ")));
    match flag {
        Some(flag) => line.is_some_and(|line| line.contains(&format!(" flags={flag} "))),
        None => line.is_none(),
    }
}

impl Driver for ServerDriver {
    fn send(&mut self, client: &str, args: &[Vec<u8>]) {
        self.client(client).send(args);
    }

    fn reply(&mut self, client: &str) -> Result<Value, String> {
        Ok(self.client(client).reply())
    }

    fn expect_blocked(&mut self, client: &str) -> Result<(), String> {
        let addr = self.client(client).stream.local_addr().map_err(|error| error.to_string())?.to_string();
        self.wait_for("a blocked client", |operator| has_flag(operator, &addr, Some("b")))
    }

    fn hang_up(&mut self, client: &str) {
        if let Some(connection) = self.clients.remove(client) {
            let addr = connection.stream.local_addr().expect("it is connected").to_string();
            drop(connection);
            self.wait_for("a closed connection", |operator| has_flag(operator, &addr, None))
                .expect("the server notices");
        }
    }

    fn expect_closed(&mut self, client: &str) -> Result<(), String> {
        let rest = self.client(client).rest();
        self.clients.remove(client);
        if rest.is_empty() {
            Ok(())
        } else {
            Err(format!("it was told {:?}", String::from_utf8_lossy(&rest)))
        }
    }

    fn set(&mut self, _: Setting) -> Result<(), String> {
        Err("nobody knows the memory of a real server to the byte".to_owned())
    }

    fn finish(&mut self) -> Result<(), String> {
        Ok(())
    }

    fn clock(&mut self, _: u64) -> Result<(), String> {
        Err("nobody moves the clock of a real server".to_owned())
    }

    fn audit(&mut self) -> Result<(), String> {
        match self.operator.run("DEBUG AUDIT") {
            Value::Status(_) => Ok(()),
            // The case has set a password, which the operator does not know.
            Value::Error(text) if text.starts_with(b"NOAUTH") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }
}
