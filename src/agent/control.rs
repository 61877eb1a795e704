//! The control socket: what `arclet status`, `outbox` and `doctor` ask the running agent.
//!
//! One JSON line in, one JSON line out, then the connection ends. Who may ask is the socket's mode: its owner and the
//! group `arclet`. A peer can waste its own time only: requests, answers' time and the number of connections are
//! bounded, and no error of a peer leaves this file.

use crate::core::Reason;
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// What can be asked. On the wire: `{"get":"status"}`, `{"get":"outbox"}`, `{"get":"links"}`, `{"get":"desired"}`,
/// `{"get":{"document":"flux/NAME"}}`, `{"get":{"diff":"flux/NAME"}}`, `{"do":"retry"}`, `{"do":"refresh"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Request {
    /// Something to look at.
    Get(Get),
    /// Something to do.
    Do(Do),
}

/// What can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Get {
    /// The whole `status::Status`.
    Status,
    /// Lanes and quarantined records: `status::Outbox`.
    Outbox,
    /// Only the links.
    Links,
    /// The documents of the desired state: `status::Desired`.
    Desired,
    /// One of them with what it wants: `status::DesiredDocument`.
    Document(String),
    /// How the cluster differs from it: `status::DocumentDiff`. The cluster is asked, which takes a while.
    Diff(String),
}

impl Request {
    /// How long an answer is waited for, from the question on: by the socket, and by who asks with something to spare.
    pub fn patience(&self) -> Duration {
        match self {
            Request::Get(Get::Diff(_)) => LONG_QUESTION,
            _ => CONVERSATION,
        }
    }
}

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Do {
    /// Try every endpoint now that is waiting for its next try.
    Retry,
    /// Look at Azure for desired state now, and at the cluster.
    Refresh,
}

/// A request on its way to the pump, and the way back for the answer (one JSON value).
pub struct Question {
    /// What was asked.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<String>,
}

/// An error as it goes over the socket: `{"error":{"code","message","next_step"}}`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Refusal {
    /// Why.
    pub error: Reason,
}

/// Takes the place of the socket: one that a crashed agent left is removed, one that answers is not.
pub fn bind(path: &Path) -> Result<std::os::unix::net::UnixListener, Reason> {
    use std::os::unix::net;
    let failed = |what: &str, error: std::io::Error| {
        Reason::new("ControlSocket", format!("{what} {}: {error}", path.display()))
            .cure("check the directory's owner and mode, or [control] socket in the configuration")
    };
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            if net::UnixStream::connect(path).is_ok() {
                return Err(Reason::new(
                    "AlreadyRunning",
                    format!("another agent answers at {}", path.display()),
                )
                .cure("stop it first: systemctl stop arclet"));
            }
            std::fs::remove_file(path).map_err(|e| failed("cannot remove the stale socket", e))?;
        }
        Ok(_) => {
            return Err(Reason::new("ControlSocket", format!("{} is not a socket", path.display()))
                .cure("move it away, or change [control] socket in the configuration"));
        }
        Err(_) => {}
    }
    let listener = net::UnixListener::bind(path).map_err(|e| failed("cannot listen at", e))?;
    // Under the unit's UMask=0077 the socket is the owner's alone until here.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(SOCKET_MODE))
        .map_err(|e| failed("cannot set the mode of", e))?;
    listener.set_nonblocking(true).map_err(|e| failed("cannot use", e))?;
    Ok(listener)
}

/// Answers until the receiver of `questions` is gone. Must be called within the runtime.
pub async fn serve(listener: std::os::unix::net::UnixListener, questions: mpsc::Sender<Question>) {
    serve_within(listener, questions, CONVERSATION).await;
}

async fn serve_within(
    listener: std::os::unix::net::UnixListener,
    questions: mpsc::Sender<Question>,
    conversation: Duration,
) {
    let listener = match UnixListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return log::error!("the control socket cannot be served: {error}"),
    };
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        // The next one waits in the kernel's queue until a place is free.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let questions = questions.clone();
                tokio::spawn(async move {
                    converse(stream, questions, conversation).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: they come back; asking again at once would only burn the processor.
                log::warn!("the control socket cannot accept: {error}");
                tokio::time::sleep(conversation).await;
            }
        }
        if questions.is_closed() {
            return;
        }
    }
}

/// Reading, thinking and writing each end by a time of their own; whoever is slower is cut off.
async fn converse(mut stream: UnixStream, questions: mpsc::Sender<Question>, patience: Duration) {
    let (read, mut write) = stream.split();
    let mut line = Vec::new();
    // One byte more than allowed tells a long request from one that just fits.
    let mut read = BufReader::new(read.take(LONGEST_REQUEST + 1));
    let Ok(Ok(_)) = timeout(patience, read.read_until(b'\n', &mut line)).await else { return };
    let mut answer = match parse(&line) {
        Ok(request) => {
            let patience = request.patience();
            let (send, receive) = oneshot::channel();
            let question = Question { request, answer: send };
            let answered = async {
                match questions.send(question).await {
                    Ok(()) => receive.await.unwrap_or_else(|_| refuse(stopping())),
                    Err(_) => refuse(stopping()),
                }
            };
            let Ok(answer) = timeout(patience, answered).await else { return };
            answer
        }
        Err(reason) => refuse(reason),
    };
    answer.push('\n');
    let written = async {
        write.write_all(answer.as_bytes()).await?;
        write.shutdown().await
    };
    // A peer that does not read its answer wastes its own time.
    let _ = timeout(patience, written).await;
}

fn parse(line: &[u8]) -> Result<Request, Reason> {
    let bad = |what: String| {
        Reason::new("BadRequest", what).cure(
            r#"ask {"get":"status"}, "outbox", "links" or "desired", {"get":{"diff":"flux/NAME"}}, {"do":"retry"} or {"do":"refresh"}"#,
        )
    };
    if line.len() as u64 > LONGEST_REQUEST {
        return Err(bad(format!("a request has at most {LONGEST_REQUEST} bytes")));
    }
    serde_json::from_slice(line).map_err(|error| bad(format!("the request is not understood: {error}")))
}

fn stopping() -> Reason {
    Reason::new("Stopping", "the agent is stopping")
}

/// The text of an error answer.
pub fn refuse(reason: Reason) -> String {
    serde_json::to_string(&Refusal { error: reason }).unwrap_or_else(|_| r#"{"error":{}}"#.into())
}

/// Removes the socket on the way out, so that the next start need not wonder.
pub struct Unlink(pub PathBuf);

impl Drop for Unlink {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Owner and group may ask.
const SOCKET_MODE: u32 = 0o660;
/// The longest request we know names a document.
const LONGEST_REQUEST: u64 = 1024;
/// To say what is asked, to be answered from memory, and to read the answer, each.
const CONVERSATION: Duration = Duration::from_secs(2);
/// To be answered by the cluster: the agent's own limit for all of it, and the deadline of a last call.
const LONG_QUESTION: Duration = Duration::from_secs(60);
/// At the same time; more wait.
const CONNECTIONS: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net;

    /// Asks over a real socket; `peer` runs on a thread of its own, the pump of the test answers `"yes"`.
    fn with_server<T: Send + 'static>(peer: impl FnOnce(&Path) -> T + Send + 'static) -> T {
        with_server_within(CONVERSATION, peer)
    }

    fn with_server_within<T: Send + 'static>(
        conversation: Duration,
        peer: impl FnOnce(&Path) -> T + Send + 'static,
    ) -> T {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let listener = bind(&path).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (send, mut receive) = mpsc::channel::<Question>(1);
            tokio::spawn(serve_within(listener, send, conversation));
            let peer = tokio::task::spawn_blocking(move || peer(&path));
            tokio::pin!(peer);
            loop {
                tokio::select! {
                    done = &mut peer => return done.unwrap(),
                    question = receive.recv() => {
                        let question = question.unwrap();
                        question.answer.send(format!("\"{:?}\"", question.request)).unwrap();
                    }
                }
            }
        })
    }

    fn ask(path: &Path, request: &[u8]) -> String {
        let mut stream = net::UnixStream::connect(path).unwrap();
        // The agent may answer and close before a long request is written whole.
        let _ = stream.write_all(request);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        answer
    }

    #[test]
    fn each_request_of_the_protocol_is_understood() {
        let answers = with_server(|path| {
            [r#"{"get":"status"}"#, r#"{"get":"outbox"}"#, r#"{"get":"links"}"#, r#"{"do":"retry"}"#]
                .map(|line| ask(path, format!("{line}\n").as_bytes()))
        });
        assert_eq!(
            answers,
            ["\"Get(Status)\"\n", "\"Get(Outbox)\"\n", "\"Get(Links)\"\n", "\"Do(Retry)\"\n"]
        );
    }

    #[test]
    fn nonsense_is_refused_with_the_next_step_and_stops_nothing() {
        let answers = with_server(|path| {
            drop(net::UnixStream::connect(path).unwrap()); // a peer that says nothing and goes
            let nonsense =
                [b"\n".to_vec(), b"{\"get\":\"money\"}\n".to_vec(), vec![b'['; 900], vec![0xff; 9]];
            let mut answers: Vec<_> = nonsense
                .iter()
                .map(|n| {
                    let mut line = n.clone();
                    line.push(b'\n');
                    ask(path, &line)
                })
                .collect();
            answers.push(ask(path, b"{\"get\":\"links\"}\n"));
            answers
        });
        for refused in &answers[..4] {
            let refusal: Refusal = serde_json::from_str(refused).unwrap();
            assert_eq!(refusal.error.code, "BadRequest");
            assert!(refusal.error.next_step.contains("status"));
        }
        assert_eq!(answers[4], "\"Get(Links)\"\n");
    }

    #[test]
    fn a_request_without_end_is_cut() {
        assert!(parse(&vec![b' '; LONGEST_REQUEST as usize + 1]).unwrap_err().message.contains("at most"));
    }

    #[test]
    fn silent_peers_do_not_keep_others_out() {
        let answer = with_server_within(Duration::from_millis(200), |path| {
            let silent: Vec<_> =
                (0..CONNECTIONS * 2).map(|_| net::UnixStream::connect(path).unwrap()).collect();
            // Its turn comes when those before it were cut off; a busy machine may be late with its request too.
            let answer =
                std::iter::repeat_with(|| ask(path, b"{\"get\":\"status\"}\n")).find(|a| !a.is_empty());
            drop(silent);
            answer
        });
        assert_eq!(answer.as_deref(), Some("\"Get(Status)\"\n"));
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        let living = bind(&path).unwrap();
        assert_eq!(bind(&path).unwrap_err().code, "AlreadyRunning");
        drop(living); // as a crash leaves it: the file is there, nobody listens
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, SOCKET_MODE);
        bind(&path).unwrap();
    }

    #[test]
    fn a_file_in_the_sockets_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sock");
        std::fs::write(&path, "mine").unwrap();
        assert!(bind(&path).unwrap_err().message.contains("not a socket"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }
}
