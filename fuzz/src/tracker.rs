//! Bodies for input that reaches the tracker: queries, bodies, addresses, tokens, requests for certificates,
//! its configuration file, its database's address and its log.

mod bodies;
mod config;
mod csr;
mod database;
mod news;
mod text;

pub use bodies::rest_body;
pub use config::config;
pub use csr::csr;
pub use database::database_address;
pub use news::news;
pub use text::{address, query, token};

use crate::Body;

/// The bodies of this file's folder.
pub(crate) const BODIES: &[Body] = &[
    Body { name: "news", run: news, examples: news::examples },
    Body { name: "query", run: query, examples: text::query_examples },
    Body { name: "rest_body", run: rest_body, examples: bodies::examples },
    Body { name: "address", run: address, examples: text::address_examples },
    Body { name: "token", run: token, examples: text::token_examples },
    Body { name: "csr", run: csr, examples: csr::examples },
    Body { name: "config", run: config, examples: config::examples },
    Body { name: "database_address", run: database_address, examples: database::examples },
];
