//! `--top`: a full-screen view of a cluster, with sorting and a filter.
//!
//! Looking at the nodes happens on a thread of its own, since a dead node may take seconds to be given up; keys are
//! answered meanwhile. `picture`: what was seen, in rows. `screen`: what is drawn of it, and what keys do.

mod picture;
mod screen;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::pace::Pace;
use super::view::{Asked, View};
use crate::cli::Exit;
use crate::cli::cluster::{Cluster, Fault};
use picture::Picture;
use screen::{Screen, Wish};

/// How soon a new picture is drawn.
const NOTICE: Duration = Duration::from_millis(50);

pub(super) fn run(cluster: Cluster, pace: &Pace) -> Result<Exit, Fault> {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(Fault::Usage("--top needs a terminal; --stat prints the same into files".to_string()));
    }
    // Mistakes in the address are told on the plain terminal.
    let view = View::open(cluster, Asked::Queues)?;
    let (pictures, seen) = mpsc::channel();
    let interval = pace.interval();
    let looking = std::thread::Builder::new().name("look".to_string());
    looking.spawn(move || look_on(view, interval, &pictures)).map_err(Fault::Output)?;
    let mut terminal = ratatui::try_init().map_err(Fault::Output)?;
    let outcome = show(&mut terminal, &seen, pace);
    ratatui::restore();
    outcome.map_err(Fault::Output)?;
    Ok(Exit::Success)
}

/// Looks until nobody wants to see it any more.
fn look_on(mut view: View, interval: Duration, pictures: &Sender<Picture>) {
    loop {
        let begin = Instant::now();
        if pictures.send(Picture::of(&view)).is_err() {
            return;
        }
        std::thread::sleep(interval.saturating_sub(begin.elapsed()));
        view.look();
    }
}

fn show(terminal: &mut DefaultTerminal, seen: &Receiver<Picture>, pace: &Pace) -> io::Result<()> {
    let mut screen = Screen::default();
    let mut changed = true;
    while !pace.is_stopped() {
        if let Some(picture) = seen.try_iter().last() {
            changed |= screen.see(picture);
        }
        if std::mem::take(&mut changed) {
            terminal.draw(|frame| screen.draw(frame))?;
        }
        if !event::poll(NOTICE)? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => match screen.key(key) {
                Wish::GoOn => changed = true,
                Wish::End => return Ok(()),
            },
            Event::Resize(..) => changed = true,
            _ => {}
        }
    }
    Ok(())
}
