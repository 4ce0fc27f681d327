//! The control socket: the command line sends requests to a running daemon, as JSON lines over a Unix socket that only
//! its owner can open.
//!
//! A connection carries one request. The reply is any number of progress lines and one last line. Requests are bounded
//! in length and time. When all workers and the queue are busy, a caller gets an error at once.

mod client;
mod message;
mod server;
mod transfers;

pub(crate) use client::ControlClient;
pub(crate) use message::{DaemonStatus, Last, LimitsMessage, Line, Problem, Request, SharedMessage};
pub(crate) use server::ControlServer;
#[cfg(test)]
pub(crate) use transfers::CallsMessage;
pub(crate) use transfers::{DownloadMessage, TransfersMessage, UploadMessage};
