//! What there is to ask for, and who may.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use super::access;
use super::gather::Condition;
use super::json;
use super::request::{Method, Request};
use super::response::Response;
use super::{Settings, Shared};
use crate::engine::{ClientId, Input, PauseState, QueueFacts, Request as Command};
use crate::net::server::Server;
use crate::types::JobId;

/// How long those who give a wrong password wait, so that they cannot try many.
const WRONG_PASSWORD: Duration = Duration::from_millis(250);
/// How many queues and jobs the page gets at once, if it does not say, and at most.
const QUEUES_SHOWN: usize = 100;
const MAX_QUEUES_SHOWN: usize = 1000;
const JOBS_SHOWN: usize = 10;
const MAX_JOBS_SHOWN: usize = 100;

/// Nobody's: what the page does is answered by what it is shown next.
const PAGE: ClientId = ClientId(u64::MAX);

/// The files of the page, which are part of the program.
const FILES: [(&str, &str, &str); 3] = [
    ("/", "text/html; charset=utf-8", include_str!("page/index.html")),
    ("/page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("/page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
];

/// Answers a request.
pub(super) fn answer(request: &Request, peer: SocketAddr, shared: &Shared) -> Response {
    route(request, peer, shared).unwrap_or_else(|refusal| refusal)
}

fn route(request: &Request, peer: SocketAddr, shared: &Shared) -> Result<Response, Response> {
    match request.path.as_str() {
        "/health/live" => return only(Method::Get, request).and_then(|()| live(shared)),
        "/health/ready" => return only(Method::Get, request).and_then(|()| ready(shared)),
        _ => {}
    }
    let settings = shared.settings();
    if let Err(refusal) = access::check_password(request, settings.password.as_deref()) {
        if request.header("authorization").is_some() {
            thread::sleep(WRONG_PASSWORD);
        }
        return Err(refusal);
    }
    if request.path == "/metrics" {
        only(Method::Get, request)?;
        let text = shared.metrics()?;
        return Ok(Response::new(200, "text/plain; version=0.0.4; charset=utf-8", text.into_bytes()));
    }
    if !settings.page {
        return Err(not_found(request, &settings));
    }
    access::check_host(request, settings.password.as_deref())?;
    page(request, peer, shared, &settings)
}

/// The page, and what it asks for.
fn page(
    request: &Request,
    peer: SocketAddr,
    shared: &Shared,
    settings: &Settings,
) -> Result<Response, Response> {
    if let Some((_, kind, text)) = FILES.iter().find(|(path, _, _)| *path == request.path) {
        only(Method::Get, request)?;
        return Ok(Response::new(200, kind, text.as_bytes()));
    }
    match request.path.as_str() {
        "/api/overview" => {
            only(Method::Get, request)?;
            Ok(Response::json(&json::overview(&shared.ask(|server| server.overview())?)))
        }
        "/api/queues" => only(Method::Get, request).and_then(|()| queues(request, shared)),
        "/api/queue" => only(Method::Get, request).and_then(|()| queue(request, shared)),
        "/api/job" => only(Method::Get, request).and_then(|()| job(request, shared)),
        "/api/pause" => only(Method::Post, request).and_then(|()| pause(request, peer, shared)),
        _ => Err(not_found(request, settings)),
    }
}

fn not_found(request: &Request, settings: &Settings) -> Response {
    let page = if settings.page { ", and the page at /" } else { "; http-page yes turns the page at / on" };
    let path: String = request.path.chars().take(100).collect();
    Response::text(
        404,
        format!("there is no {path}. There are /metrics, /health/live and /health/ready{page}\n"),
    )
}

fn only(method: Method, request: &Request) -> Result<(), Response> {
    let fits = request.method == method || (method == Method::Get && request.method == Method::Head);
    if fits {
        return Ok(());
    }
    let allowed = if method == Method::Get { "GET, HEAD" } else { "POST" };
    Err(Response::text(405, format!("this is asked for by {allowed}\n")).with("Allow", allowed))
}

/// Alive is a server whose event loop turns, whatever it does.
fn live(shared: &Shared) -> Result<Response, Response> {
    shared.ask(|_| ())?;
    Ok(Response::text(200, "alive\n"))
}

/// Ready is one that takes new jobs.
fn ready(shared: &Shared) -> Result<Response, Response> {
    let why = why_not_ready(&shared.ask(|server| server.condition())?);
    if why.is_empty() { Ok(Response::text(200, "ready\n")) } else { Err(Response::unavailable(why)) }
}

fn why_not_ready(condition: &Condition) -> String {
    let mut why = String::new();
    if let Some(loading) = condition.loading {
        let (loaded, total) = (loading.loaded_bytes, loading.total_bytes);
        why.push_str(&format!("loading the append-only file: {loaded} of {total} bytes\n"));
    }
    if condition.leaving {
        why.push_str("leaving the cluster\n");
    }
    if let Some(reason) = &condition.aof_failure {
        why.push_str(&format!("the append-only file cannot be written: {reason}\n"));
    }
    why
}

/// The queues that fit, the first by what they are sorted by.
fn queues(request: &Request, shared: &Shared) -> Result<Response, Response> {
    let (mut queues, now) = shared.queues()?;
    let total = queues.len();
    if let Some(find) = request.parameter("find").filter(|find| !find.is_empty()) {
        let find = find.to_ascii_lowercase();
        queues.retain(|queue| queue.name.to_ascii_lowercase().windows(find.len()).any(|part| part == find));
    }
    let sort = request.parameter("sort").unwrap_or_default();
    queues.sort_unstable_by(|a, b| order(&sort, a, b).then_with(|| a.name.cmp(&b.name)));
    let found = queues.len();
    queues.truncate(request.number("limit").unwrap_or(QUEUES_SHOWN).min(MAX_QUEUES_SHOWN));
    Ok(Response::json(&json::queues(&queues, total, found, now)))
}

/// By name from the least, by numbers from the most.
fn order(sort: &[u8], a: &QueueFacts, b: &QueueFacts) -> std::cmp::Ordering {
    match sort {
        b"jobs" => b.len.cmp(&a.len),
        b"in_flight" => b.in_flight.cmp(&a.in_flight),
        b"in" => b.jobs_in.cmp(&a.jobs_in),
        b"out" => b.jobs_out.cmp(&a.jobs_out),
        b"waiting" => b.blocked.cmp(&a.blocked),
        // The oldest first; those without jobs at the end.
        b"age" => a.oldest.is_none().cmp(&b.oldest.is_none()).then(a.oldest.cmp(&b.oldest)),
        _ => std::cmp::Ordering::Equal,
    }
}

fn queue(request: &Request, shared: &Shared) -> Result<Response, Response> {
    let name = request.parameter("name").ok_or_else(|| Response::text(400, "name=… is missing\n"))?;
    let count = request.number("jobs").unwrap_or(JOBS_SHOWN).min(MAX_JOBS_SHOWN);
    let (queue, jobs, now) = shared.ask_loaded(move |server| {
        (server.engine.queue_facts(&name), server.engine.next_jobs(&name, count), server.now)
    })?;
    let queue = queue.ok_or_else(|| Response::text(404, "there is no such queue on this node\n"))?;
    Ok(Response::json(&json::queue_with_jobs(&queue, &jobs, now)))
}

fn job(request: &Request, shared: &Shared) -> Result<Response, Response> {
    let id = request.parameter("id").unwrap_or_default();
    let id = JobId::parse(&id).map_err(|_| Response::text(400, "id=… is not the ID of a job\n"))?;
    let (job, now) = shared.ask_loaded(move |server| (server.engine.job(&id), server.now))?;
    let job = job.ok_or_else(|| Response::text(404, "this node does not know the job\n"))?;
    Ok(Response::json(&json::job(&job, now)))
}

/// PAUSE queue state BCAST.
fn pause(request: &Request, peer: SocketAddr, shared: &Shared) -> Result<Response, Response> {
    access::check_own_page(request)?;
    let Some((queue, change)) = json::pause(&request.body) else {
        let text = "the body is {\"queue\": …, \"state\": \"none\", \"in\", \"out\" or \"all\"}\n";
        return Err(Response::text(400, text));
    };
    tracing::info!(
        queue = %String::from_utf8_lossy(&queue), state = change.word(), %peer,
        "a queue's pause was set on the web page"
    );
    let state = shared.ask_loaded(move |server| server.pause(&queue, change))?;
    Ok(Response::json(&serde_json::json!({ "state": state.word() })))
}

impl Server {
    fn pause(&mut self, queue: &[u8], change: PauseState) -> PauseState {
        let request = Command::Pause { queue, change: Some(change), broadcast: true };
        self.step(Input::Request { client: PAGE, request }, u32::MAX);
        self.engine.queue_facts(queue).map_or(PauseState::NONE, |queue| queue.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::Loading;
    use crate::types::UnixMillis;

    #[test]
    fn not_ready_says_everything_that_is_in_the_way() {
        let ready = Condition { loading: None, leaving: false, aof_failure: None };
        assert_eq!(why_not_ready(&ready), "");
        let loading = Loading { started: UnixMillis(0), total_bytes: 10, loaded_bytes: 4 };
        let all =
            Condition { loading: Some(loading), leaving: true, aof_failure: Some("disk full".to_owned()) };
        assert_eq!(
            why_not_ready(&all),
            "loading the append-only file: 4 of 10 bytes\nleaving the cluster\n\
             the append-only file cannot be written: disk full\n"
        );
    }
}
