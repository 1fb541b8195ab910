//! Rust clients beside redis-rs: fred, and the old library for Disque. Reports its cases as the other suites do.

use std::collections::BTreeSet;
use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use disque::{AddJobBuilder, Disque, JobQueryBuilder, QueueQueryBuilder};
use fred::prelude::*;
use fred::types::{ClusterHash, CustomCommand, RespVersion};

type Outcome = Result<(), Box<dyn Error>>;

/// How long a case waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let old: &[(&str, fn() -> Outcome)] = &[
        ("knows the node", knows_the_node),
        ("jobs go through their life", jobs_go_through_their_life),
        ("scans queues and jobs", scans_queues_and_jobs),
        ("a waiting fetch is woken by a producer", waiting_fetch_is_woken),
        ("a password lets in or keeps out", old_passwords),
    ];
    let mut failed = false;
    for (claim, action) in old {
        failed |= !report(&format!("disque 0.2.3: {claim}"), action);
    }
    for (label, version) in [("RESP2", RespVersion::RESP2), ("RESP3", RespVersion::RESP3)] {
        let runtime = tokio::runtime::Runtime::new().expect("threads can be started");
        let run = |claim: &str, action: &dyn Fn() -> Outcome| {
            !report(&format!("fred 10.1.0: {claim} ({label})"), action)
        };
        failed |= run("jobs go through their life", &|| runtime.block_on(fred_jobs(version.clone())));
        failed |= run("a transaction runs", &|| runtime.block_on(fred_transaction(version.clone())));
        failed |= run("passwords let in or keep out", &|| runtime.block_on(fred_passwords(version.clone())));
    }
    ExitCode::from(u8::from(failed))
}

fn report(claim: &str, action: impl Fn() -> Outcome) -> bool {
    match catch_unwind(AssertUnwindSafe(action)) {
        Ok(Ok(())) => {
            println!("ok {claim}");
            return true;
        }
        Ok(Err(error)) => println!("not ok {claim}: {error}"),
        // What it says is on the standard error already.
        Err(_) => println!("not ok {claim}: an assertion failed"),
    }
    false
}

fn variable(name: &str) -> String {
    std::env::var(name).expect("run sets it")
}

// --- the crate disque ---------------------------------------------------------------------------------------------

fn open() -> Result<Disque, Box<dyn Error>> {
    Ok(Disque::open(&*format!("redis://127.0.0.1:{}/", variable("DISQUE_PORT")))?)
}

fn knows_the_node() -> Outcome {
    let client = open()?;
    let (version, me, nodes) = client.hello()?;
    assert_eq!((version, me.len()), (1, 40));
    assert_eq!(nodes, [(me, "127.0.0.1".to_owned(), variable("DISQUE_PORT").parse()?, 1)]);
    assert_eq!(client.info()?.get::<String>("loading"), Some("0".to_owned()));
    Ok(())
}

fn jobs_go_through_their_life() -> Outcome {
    let client = open()?;
    let id = AddJobBuilder::new(b"life", b"body", 0).retry(600_000).run(&client)?;
    assert_eq!(client.qlen(b"life")?, 1);
    assert_eq!(client.qpeek(b"life", 1)?, [[b"life".to_vec(), id.clone().into_bytes(), b"body".to_vec()]]);
    let row = client.getjob_withcounters(false, None, &[b"life"])?;
    assert_eq!(row, Some((b"life".to_vec(), id.clone(), b"body".to_vec(), 0, 0)));
    assert!(client.nackjob(id.as_bytes())?);
    let rows = client.getjob_count_withcounters(false, None, 5, &[b"life"])?;
    assert_eq!(rows, [(b"life".to_vec(), id.clone(), b"body".to_vec(), 1, 0)]);
    let shown = client.show(id.as_bytes())?.expect("it is there");
    assert_eq!(shown.len(), 15);
    assert_eq!(client.qstat(b"life")?.len(), 12);
    assert!(client.working(id.as_bytes())? > Duration::ZERO);
    assert!(client.ackjob(id.as_bytes())?);
    assert!(client.show(id.as_bytes())?.is_none());
    assert_eq!(client.getjob(true, None, &[b"life"])?, None);
    assert_eq!(client.getjob(false, Some(Duration::from_millis(30)), &[b"life"])?, None);
    assert!(client.ackjob(b"not-an-id").is_err());
    Ok(())
}

fn scans_queues_and_jobs() -> Outcome {
    let client = open()?;
    for number in 0..100 {
        AddJobBuilder::new(format!("scan/{number}").as_bytes(), b"body", 0).run(&client)?;
    }
    let queues: BTreeSet<Vec<u8>> = QueueQueryBuilder::new().count(10).iter(&client)?.collect();
    assert_eq!(queues.iter().filter(|name| name.starts_with(b"scan/")).count(), 100);
    let ids: Vec<String> = JobQueryBuilder::new().queue(b"scan/7").iter_ids(&client)?.collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(JobQueryBuilder::new().queue(b"scan/7").state("queued").iter_all(&client)?.count(), 1);
    Ok(())
}

fn waiting_fetch_is_woken() -> Outcome {
    let worker = std::thread::spawn(|| open().map(|client| client.getjob(false, None, &[b"wake"])).ok());
    let client = open()?;
    let end = Instant::now() + PATIENCE;
    while client.info()?.get::<String>("blocked_clients").as_deref() != Some("1") {
        assert!(!worker.is_finished(), "it did not wait: {:?}", worker.join());
        assert!(Instant::now() < end, "nobody waits");
    }
    let id = AddJobBuilder::new(b"wake", b"up", 0).run(&client)?;
    let row = worker.join().expect("it does not panic").expect("it connects")?;
    assert_eq!(row, Some((b"wake".to_vec(), id, b"up".to_vec())));
    Ok(())
}

fn old_passwords() -> Outcome {
    let (port, password) = (variable("DISQUE_LOCKED_PORT"), variable("DISQUE_PASSWORD"));
    assert_eq!(Disque::open(&*format!("redis://:{password}@127.0.0.1:{port}/"))?.qlen(b"q")?, 0);
    assert!(Disque::open(&*format!("redis://:wrong@127.0.0.1:{port}/")).is_err());
    assert!(Disque::open(&*format!("redis://127.0.0.1:{port}/"))?.qlen(b"q").is_err());
    Ok(())
}

// --- fred ---------------------------------------------------------------------------------------------------------

async fn connect(version: RespVersion, credentials: &str, port: &str) -> Result<Client, fred::error::Error> {
    let mut config = Config::from_url(&format!("redis://{credentials}127.0.0.1:{}/", variable(port)))?;
    config.version = version;
    let client = Builder::from_config(config).build()?;
    client.init().await?;
    Ok(client)
}

async fn run<T: FromValue>(client: &impl ClientLike, line: &str) -> Result<T, fred::error::Error> {
    let mut words = line.split_whitespace().map(str::to_owned);
    let name = words.next().expect("a command has a name");
    client.custom(CustomCommand::new(name, ClusterHash::FirstKey, false), words.collect::<Vec<_>>()).await
}

async fn fred_jobs(version: RespVersion) -> Outcome {
    let client = connect(version, "", "DISQUE_PORT").await?;
    assert_eq!(client.ping::<String>(None).await?, "PONG");
    let id: String = run(&client, "ADDJOB fred body 0 RETRY 600").await?;
    let rows: Vec<Vec<String>> = run(&client, "GETJOB COUNT 5 FROM fred").await?;
    assert_eq!(rows, [["fred", &id, "body"]]);
    assert_eq!(run::<u64>(&client, &format!("NACK {id}")).await?, 1);
    assert_eq!(run::<u64>(&client, "QLEN fred").await?, 1);
    assert_eq!(run::<u64>(&client, &format!("ACKJOB {id}")).await?, 1);
    for nothing in [format!("SHOW {id}"), "GETJOB NOHANG FROM fred".to_owned()] {
        assert!(run::<Value>(&client, &nothing).await?.is_null(), "{nothing}");
    }
    let error = run::<Value>(&client, "ACKJOB not-an-id").await.expect_err("it is none");
    assert!(error.to_string().contains("BADID"), "{error}");
    client.quit().await?;
    Ok(())
}

async fn fred_transaction(version: RespVersion) -> Outcome {
    let client = connect(version, "", "DISQUE_PORT").await?;
    let transaction = client.multi();
    let _: () = run(&transaction, "ADDJOB multi body 0").await?;
    let _: () = run(&transaction, "QLEN multi").await?;
    let _: () = run(&transaction, "GETJOB FROM multi").await?;
    let (_, len, rows): (String, u64, Vec<Vec<String>>) = transaction.exec(true).await?;
    assert_eq!((len, rows.len(), &*rows[0][2]), (1, 1, "body"));
    client.quit().await?;
    Ok(())
}

async fn fred_passwords(version: RespVersion) -> Outcome {
    let password = variable("DISQUE_PASSWORD");
    for right in [format!(":{password}@"), format!("default:{password}@")] {
        let client = connect(version.clone(), &right, "DISQUE_LOCKED_PORT").await?;
        assert_eq!(run::<u64>(&client, "QLEN q").await?, 0);
        client.quit().await?;
    }
    assert!(connect(version, ":wrong@", "DISQUE_LOCKED_PORT").await.is_err());
    Ok(())
}
