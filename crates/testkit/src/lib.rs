//! For tests only: throwaway PostgreSQL servers, real processes on port 0, a client that speaks version 1 exactly, and faults to
//! inject between two ends of a connection.

pub mod fixture;
pub mod postgres;
pub mod process;
pub mod relay;
pub mod tidy;
pub mod v1;
