//! Time and memory: timers that are due, jobs and queues that must make room.

use std::time::{Duration, Instant};

use disque::resp::Value;

use crate::support::{Connection, Server, request};
use crate::tools::{bodies, error, info_number, text, wait_until};

/// How much later than it had to come something came. Earlier would be wrong.
fn lateness(what: &str, begin: Instant, span: Duration) {
    let took = begin.elapsed();
    // The server's clock has milliseconds, and reads them once per turn.
    assert!(took + Duration::from_millis(2) >= span, "{what}: {took:?} instead of {span:?}");
    println!("{what}: {:?} late", took.saturating_sub(span));
}

#[test]
fn timers_fire_when_they_are_due() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    let span = Duration::from_millis(250);

    client.run("ADDJOB q x 0 RETRY 250ms");
    assert_eq!(bodies(&client.run("GETJOB FROM q")), ["x"]);
    let begin = Instant::now();
    assert_eq!(bodies(&client.run("GETJOB FROM q")), ["x"], "nobody acknowledged it");
    lateness("RETRY 250ms", begin, span);

    let begin = Instant::now();
    client.run("ADDJOB later x 0 DELAY 250ms");
    assert_eq!(bodies(&client.run("GETJOB FROM later")), ["x"]);
    lateness("DELAY 250ms", begin, span);

    let begin = Instant::now();
    assert_eq!(client.run("GETJOB TIMEOUT 250 FROM nowhere"), Value::NullArray);
    lateness("GETJOB TIMEOUT 250", begin, span);

    client.run("ADDJOB gone x 0 TTL 250ms");
    let begin = Instant::now();
    wait_until("it has expired", || client.run("QLEN gone") == Value::Int(0));
    lateness("TTL 250ms", begin, span);
}

#[test]
fn delayed_jobs_come_in_the_order_in_which_they_are_due() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for delay in [300, 100, 200, 0, 150] {
        client.run(&format!("ADDJOB q {delay} 0 DELAY {delay}ms"));
    }
    let order: Vec<String> = (0..5).flat_map(|_| bodies(&client.run("GETJOB FROM q"))).collect();
    assert_eq!(order, ["0", "100", "150", "200", "300"]);
}

#[test]
fn ten_thousand_jobs_that_are_due_at_once_are_all_queued() {
    const JOBS: usize = 10_000;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let begin = Instant::now();
    client.send_raw(&request(&["ADDJOB", "q", "x", "0", "DELAY", "300ms"]).repeat(JOBS));
    (0..JOBS).for_each(|_| drop(client.reply()));
    let added = begin.elapsed();
    wait_until("all are queued", || client.run("QLEN q") == Value::Int(JOBS as i64));
    println!("{JOBS} jobs with DELAY 300ms: added in {added:?}, all queued after {:?}", begin.elapsed());
    assert_eq!(client.run("DEBUG AUDIT"), Value::ok());
}

fn add(client: &mut Connection, queue: &str, options: &str, count: usize) {
    for _ in 0..count {
        let reply = client.run(&format!("ADDJOB {queue} x 0 {options}"));
        assert!(matches!(reply, Value::Status(_)), "{reply:?}");
    }
}

#[test]
fn queues_and_evictable_jobs_vanish_without_memory_and_info_works() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for n in 0..1000 {
        add(&mut client, &format!("empty{n}"), "", 1);
        let Value::Array(jobs) = client.run(&format!("GETJOB FROM empty{n}")) else {
            panic!("there is a job")
        };
        let Value::Array(job) = &jobs[0] else { panic!("a job has fields") };
        client.run(&format!("ACKJOB {}", text(&job[1])));
    }
    add(&mut client, "delivered", "RETRY 0", 1000);
    assert_eq!(bodies(&client.run("GETJOB COUNT 1000 FROM delivered")).len(), 1000);
    assert_eq!(info_number(&mut client, "registered_jobs"), 1000);
    assert_eq!(info_number(&mut client, "registered_queues"), 1001);
    assert_eq!(client.run("CONFIG SET maxmemory 1"), Value::ok());
    let begin = Instant::now();
    let refused = error("OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(client.run("ADDJOB q x 0"), refused);
    wait_until("the queues are gone", || info_number(&mut client, "registered_queues") == 0);
    println!("1000 queues are gone {:?} after maxmemory 1", begin.elapsed());
    // Each eviction looks at a bounded number of random jobs: the last few take some commands more.
    let left = info_number(&mut client, "registered_jobs");
    println!("{left} of 1000 delivered jobs are left");
    assert!(left < 1000);
    wait_until("the jobs are gone", || {
        client.run("QLEN q");
        info_number(&mut client, "registered_jobs") == 0
    });
    assert_eq!(client.run("GETJOB NOHANG FROM q"), Value::NullArray);
    assert_eq!(client.run("CONFIG SET maxmemory 1gb"), Value::ok());
    add(&mut client, "q", "", 1);
    assert_eq!(client.run("DEBUG AUDIT"), Value::ok());
}

#[test]
fn an_idle_server_without_memory_does_not_spin() {
    let _turn = crate::tools::alone();
    let server = Server::start(&["--maxmemory", "1"]);
    let mut client = server.connect();
    client.send(&["GETJOB", "FROM", "waiting"]);
    crate::tools::wait_blocked(&mut server.connect(), 1);
    let ticks = crate::tools::idle_second(&server);
    println!("idle at maxmemory 1, one client waiting: {ticks} ticks of processor time in a second");
    assert!(ticks <= 2, "{ticks} ticks");
}

#[test]
fn an_idle_server_with_jobs_sleeps() {
    let _turn = crate::tools::alone();
    let server = Server::start(&["--timeout", "100"]);
    let mut client = server.connect();
    add(&mut client, "q", "", 1000);
    add(&mut client, "later", "DELAY 3600", 1000);
    let ticks = crate::tools::idle_second(&server);
    println!("idle with 2000 jobs: {ticks} ticks of processor time in a second");
    assert!(ticks <= 2, "{ticks} ticks");
}

/// Defect L15 of the old server: an eviction freed one job and refused the command all the same.
#[test]
fn a_command_evicts_as_much_as_it_takes_to_be_run() {
    const JOBS: usize = 1000;
    let server = Server::start(&[]);
    let mut client = server.connect();
    let body = "x".repeat(1000);
    for _ in 0..JOBS {
        client.run(&format!("ADDJOB q {body} 0 RETRY 0"));
    }
    assert_eq!(bodies(&client.run(&format!("GETJOB COUNT {JOBS} FROM q"))).len(), JOBS);
    // Once the server has counted its own buffers, three quarters of the use are allowed, so that a quarter
    // of the jobs must go.
    wait_until("the large reply is off the account", || info_number(&mut client, "used_memory") < 2_000_000);
    let limit = info_number(&mut client, "used_memory") * 3 / 4;
    assert_eq!(client.run("CONFIG SET maxmemory-policy noeviction"), Value::ok());
    assert_eq!(client.run(&format!("CONFIG SET maxmemory {limit}")), Value::ok());
    let refused = error("OOM command not allowed when used memory > 'maxmemory'.");
    assert_eq!(client.run("ADDJOB new x 0 REPLICATE 1"), refused, "nothing may be evicted");
    assert_eq!(info_number(&mut client, "registered_jobs"), JOBS as u64);
    assert_eq!(client.run("CONFIG SET maxmemory-policy acks"), Value::ok());
    // Between 75 and 95 per cent a node alone has nowhere to put the job: that is another refusal.
    let reply = text(&client.run("ADDJOB new x 0 REPLICATE 1"));
    assert!(!reply.starts_with("OOM"), "{reply}");
    let left = info_number(&mut client, "registered_jobs");
    println!("{} of {JOBS} jobs were evicted by one command", JOBS as u64 - left);
    assert!((1..JOBS as u64).contains(&left));
    assert!(info_number(&mut client, "used_memory") <= limit / 100 * 95);
    assert_eq!(client.run("DEBUG AUDIT"), Value::ok());
}

#[test]
fn jobs_that_must_still_be_delivered_are_never_evicted() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    add(&mut client, "q", "RETRY 0", 100);
    add(&mut client, "q", "", 100);
    add(&mut client, "delivered", "RETRY 100", 100);
    client.run("GETJOB COUNT 100 FROM delivered");
    assert_eq!(client.run("CONFIG SET maxmemory 1"), Value::ok());
    for _ in 0..100 {
        client.run("PING");
        client.run("QLEN q");
    }
    assert_eq!(info_number(&mut client, "registered_jobs"), 300);
    assert_eq!(bodies(&client.run("GETJOB COUNT 300 FROM q")).len(), 200);
}
