//! How the command line talks to a running daemon: JSON lines over a Unix socket that only its owner can open.
//!
//! One request a connection, answered by any number of progress lines and one last line. Requests are bounded in length
//! and time; more callers at once than there is room for are told so.

mod client;
mod message;
mod server;

pub(crate) use client::ControlClient;
#[cfg(test)]
pub(crate) use message::CallsMessage;
pub(crate) use message::{
    DaemonStatus, DownloadMessage, Last, LimitsMessage, Line, Problem, Request, SharedMessage, TransfersMessage,
    UploadMessage,
};
pub(crate) use server::ControlServer;
