//! A child process that is spoken to in lines: one line asks, one line answers, within a time limit.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::host::family_of;

/// Why there is no answer.
#[derive(Debug)]
pub enum Silence {
    /// The answer is no text.
    NoText(io::Error),
    /// The child has ended, in this way where the system tells.
    Ended(Option<ExitStatus>),
    /// The time limit is over; the child was ended.
    TimedOut,
}

/// What came back for one line: the answer and the time from the first byte out to the last byte in.
type Heard = io::Result<(String, Duration)>;

/// A running child. A thread of its own talks to it, so that the time limit holds whether the child does not write or
/// does not even read.
#[derive(Debug)]
pub struct Talk {
    process: std::process::Child,
    limit: Duration,
    lines: Sender<String>,
    heard: Receiver<Heard>,
    ended: bool,
}

impl Talk {
    /// Starts a child, which inherits the affinity mask of this thread, as does the thread that talks to it. It is in a
    /// group of its own, so that ending it also ends what it has started.
    ///
    /// # Errors
    /// What the system says where it cannot be started.
    ///
    /// # Panics
    /// Never: the pipes were asked for.
    pub fn start(command: &mut Command, limit: Duration) -> io::Result<Self> {
        let mut process = command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let to = process.stdin.take().expect("stdin was asked to be a pipe");
        let from = process.stdout.take().expect("stdout was asked to be a pipe");
        let (lines, asked) = channel();
        let (answers, heard) = channel();
        let child = Self { process, limit, lines, heard, ended: false };
        thread::Builder::new().name("talk".to_owned()).spawn(move || talk(to, from, &asked, &answers))?;
        Ok(child)
    }

    /// Asks for an answer, with the time it took. A child that does not answer is ended.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask(&mut self, mut line: String) -> Result<(String, Duration), Silence> {
        line.push('\n');
        // Where the talker has gone, so has what it sends with: the next line says so.
        let _ = self.lines.send(line);
        let silence = match self.heard.recv_timeout(self.limit) {
            Ok(Ok((line, time))) if !line.is_empty() => return Ok((line, time)),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => Silence::NoText(error),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => return Err(Silence::Ended(self.last_moment())),
            Err(RecvTimeoutError::Timeout) => Silence::TimedOut,
        };
        self.end();
        Err(silence)
    }

    /// Returns how a child that has closed its stdout ends, where it does within a moment; then it is ended in any case.
    fn last_moment(&mut self) -> Option<ExitStatus> {
        let begin = Instant::now();
        let mut status = None;
        while status.is_none() && begin.elapsed() < Duration::from_secs(1) {
            status = self.process.try_wait().ok().flatten();
            thread::sleep(Duration::from_millis(1));
        }
        self.end();
        status
    }

    /// Ends the child and all that it has started.
    pub fn end(&mut self) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // What it has started may be in groups of its own, and is nobody's child once it is gone; by then the number of
        // the process may be another's.
        let is_there = matches!(self.process.try_wait(), Ok(None));
        let descendants = if is_there { family_of(self.process.id()) } else { Vec::new() };
        // They may have ended by themselves; waiting is right in any case, and nobody can do anything about a refusal.
        if let Ok(group) = i32::try_from(self.process.id()) {
            let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
        }
        for id in descendants.into_iter().filter_map(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.end();
    }
}

/// Passes lines to a child and answers back until nobody asks any more. Ending the child ends every wait in here.
fn talk(mut to: ChildStdin, from: ChildStdout, asked: &Receiver<String>, answers: &Sender<Heard>) {
    let mut from = BufReader::new(from);
    for ask in asked {
        let begin = Instant::now();
        let mut line = String::new();
        let outcome = to.write_all(ask.as_bytes()).and_then(|()| from.read_line(&mut line));
        if answers.send(outcome.map(|_| (line, begin.elapsed()))).is_err() {
            return;
        }
    }
}
