//! Password hashing (bcrypt) in a small worker pool with a short queue and low priority: a flood of logins cannot starve
//! lookups.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Sender, bounded};
use peernet_protos::limits::{PASSWORD_BYTES_MAX, PASSWORD_BYTES_MIN};
use peernet_threads::{Blocking, Full, Pool, Stragglers, lower_priority};

use crate::ops::log;

/// The most requests that wait per thread: about a second's work at cost 10.
pub const QUEUED_PER_THREAD_MAX: usize = 16;

/// The longest wait of a request for its hash; reached only at extreme costs.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Added to the nice value of the pool's threads.
const NICE: i32 = 10;

/// The reason why a password was not hashed or checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordError {
    /// The password is empty.
    Empty,
    /// The password contains a NUL character, at which bcrypt would end it.
    ContainsNul,
    /// The password is longer than bcrypt reads.
    TooLong,
    /// The pool's queue is full.
    Busy,
    /// The tracker is stopping.
    Stopping,
    /// bcrypt failed; the log says why.
    Failed,
}

impl fmt::Display for PasswordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the password must not be empty"),
            Self::ContainsNul => f.write_str("the password must not contain the character NUL"),
            Self::TooLong => {
                write!(f, "the password is longer than {PASSWORD_BYTES_MAX} bytes: bcrypt reads no more than that")
            }
            Self::Busy => f.write_str("too many passwords are being checked"),
            Self::Stopping => f.write_str("the tracker is stopping"),
            Self::Failed => f.write_str("bcrypt failed"),
        }
    }
}

/// The worker pool.
pub struct Passwords {
    pool: Mutex<Option<Pool<Job>>>,
    cost: u32,
    /// The hash of a random password. Logins of unknown accounts are checked against it, so that they take the same time.
    decoy: String,
}

enum Job {
    Hash { password: String, answer: Sender<Result<String, PasswordError>> },
    Verify { password: String, hash: String, answer: Sender<Result<bool, PasswordError>> },
}

impl Passwords {
    /// Starts one thread per core, with a lower priority than every other thread of the process. `cost` is bcrypt's, 4 to 31.
    pub fn start(cost: u32) -> io::Result<Self> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pool = Pool::new("bcrypt", threads, threads * QUEUED_PER_THREAD_MAX, || worker(cost))?;
        Ok(Self { pool: Mutex::new(Some(pool)), cost, decoy: decoy(cost)? })
    }

    /// Hashes a password that [`check_length`] accepted.
    pub fn hash(&self, _: &Blocking, password: String) -> Result<String, PasswordError> {
        let (answer, answered) = bounded(1);
        self.submit(Job::Hash { password, answer })?;
        answered.recv_timeout(WAIT_MAX).unwrap_or(Err(PasswordError::Busy))
    }

    /// Returns whether a password has this hash. `None` stands for an account that does not exist: it costs the same time and
    /// is never right.
    pub fn verify(&self, _: &Blocking, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        let (answer, answered) = bounded(1);
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.decoy.clone());
        self.submit(Job::Verify { password, hash, answer })?;
        let right = answered.recv_timeout(WAIT_MAX).unwrap_or(Err(PasswordError::Busy))?;
        Ok(right && known)
    }

    /// bcrypt's cost as configured.
    pub fn cost(&self) -> u32 {
        self.cost
    }

    /// Returns the number of requests that wait for a thread.
    pub fn queued(&self) -> usize {
        self.lock().as_ref().map_or(0, Pool::queued)
    }

    /// Finishes what is queued and ends the threads.
    pub fn stop(&self, timeout: Duration) -> Result<(), Stragglers> {
        let pool = self.lock().take();
        pool.map_or(Ok(()), |pool| pool.stop(timeout))
    }

    fn submit(&self, job: Job) -> Result<(), PasswordError> {
        let pool = self.lock();
        let pool = pool.as_ref().ok_or(PasswordError::Stopping)?;
        pool.try_submit(job).map_err(|Full(_)| PasswordError::Busy)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Pool<Job>>> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses passwords that bcrypt would cut, or that would hash like another password.
pub fn check_length(password: &str) -> Result<(), PasswordError> {
    match password.len() {
        _ if password.contains('\0') => Err(PasswordError::ContainsNul),
        ..PASSWORD_BYTES_MIN => Err(PasswordError::Empty),
        PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX => Ok(()),
        _ => Err(PasswordError::TooLong),
    }
}

fn worker(cost: u32) -> impl FnMut(Job) + Send + 'static {
    let mut is_lowered = false;
    move |job| {
        if !std::mem::replace(&mut is_lowered, true) {
            lower_priority(NICE);
        }
        work(cost, job);
    }
}

/// Does one job. If the requester has stopped waiting, the answer is dropped.
fn work(cost: u32, job: Job) {
    match job {
        Job::Hash { password, answer } => {
            let hashed = bcrypt::hash(password, cost).map_err(|error| failed(&error));
            let _gone = answer.try_send(hashed);
        }
        Job::Verify { password, hash, answer } => {
            let _gone = answer.try_send(verify(&password, &hash));
        }
    }
}

fn verify(password: &str, hash: &str) -> Result<bool, PasswordError> {
    // bcrypt compares the first 72 bytes only. No account has a longer password, but the check takes the same time.
    let right = bcrypt::verify(password, hash).map_err(|error| failed(&error))?;
    Ok(right && password.len() <= PASSWORD_BYTES_MAX)
}

fn failed(error: &bcrypt::BcryptError) -> PasswordError {
    log::error("passwords", "bcrypt failed", &[("why", error)]);
    PasswordError::Failed
}

fn decoy(cost: u32) -> io::Result<String> {
    let mut unknown = [0; 32];
    getrandom::fill(&mut unknown).map_err(io::Error::other)?;
    bcrypt::hash(unknown, cost).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_of_a_known_account_is_right() {
        let passwords = Passwords::start(4).expect("threads");
        let hash = passwords.hash(&Blocking::declare(), "s3cret".into()).expect("hashes");
        let longest = "x".repeat(PASSWORD_BYTES_MAX);
        let long_hash = passwords.hash(&Blocking::declare(), longest.clone()).expect("hashes");
        for (password, hash, right) in [
            ("s3cret", Some(&hash), true),
            ("s3creT", Some(&hash), false),
            ("", Some(&hash), false),
            ("s3cret", None, false),
            (&longest, Some(&long_hash), true),
            (&format!("{longest}y"), Some(&long_hash), false),
        ] {
            assert_eq!(passwords.verify(&Blocking::declare(), password.into(), hash.cloned()), Ok(right), "{password}");
        }
        assert_eq!(
            passwords.verify(&Blocking::declare(), "a".into(), Some("damaged".into())),
            Err(PasswordError::Failed)
        );
    }

    #[test]
    fn a_full_queue_and_a_stopped_pool_are_errors() {
        let passwords = Passwords::start(10).expect("threads");
        let verify = || passwords.verify(&Blocking::declare(), "x".into(), None);
        let refused = std::thread::scope(|scope| {
            let clients: Vec<_> = (0..60).map(|_| scope.spawn(verify)).collect();
            clients.into_iter().filter_map(|client| client.join().expect("no panic").err()).count()
        });
        assert!(refused > 0);
        assert!(passwords.stop(Duration::from_secs(60)).is_ok());
        assert_eq!(passwords.hash(&Blocking::declare(), "x".into()), Err(PasswordError::Stopping));
    }

    #[test]
    fn passwords_that_bcrypt_would_cut_are_refused() {
        assert!(check_length("x").is_ok() && check_length(&"x".repeat(72)).is_ok());
        for (bad, error) in [
            (String::new(), PasswordError::Empty),
            ("x".repeat(73), PasswordError::TooLong),
            ("é".repeat(37), PasswordError::TooLong),
            ("a\0a".to_owned(), PasswordError::ContainsNul),
        ] {
            assert_eq!(check_length(&bad), Err(error), "{bad}");
        }
    }
}
