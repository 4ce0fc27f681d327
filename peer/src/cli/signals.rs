//! Ctrl-C and SIGTERM: the first signal asks the command to stop in good order, the second ends the program at once.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};

use peernet_threads::Group;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::cancel::Cancel;

/// Watches for signals until it is dropped.
pub(super) struct Watch {
    handle: Handle,
    _group: Group,
}

impl Drop for Watch {
    fn drop(&mut self) {
        // The thread ends soon, and holds nothing that must be waited for.
        self.handle.close();
    }
}

/// Cancels `cancel` at the first signal.
///
/// Commands with a prompt call it after the prompt, so that Ctrl-C ends the prompt at once.
pub(super) fn watch(cancel: &Cancel, output: &Output) -> Result<Watch, Failure> {
    let failed =
        |error: std::io::Error| Failure { exit: Exit::Failure, message: format!("watching for signals: {error}") };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let handle = signals.handle();
    let cancel = cancel.clone();
    let output = output.clone();
    let mut group = Group::default();
    let pump = move || {
        for _ in signals.forever() {
            if cancel.is_cancelled() {
                signal_hook::low_level::exit(i32::from(Exit::Interrupted.code()));
            }
            output.note("stopping; once more stops at once");
            cancel.cancel();
        }
    };
    group.spawn("signals", pump).map_err(failed)?;
    Ok(Watch { handle, _group: group })
}
