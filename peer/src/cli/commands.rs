//! The commands, each in a file of its own with its arguments, its help and its function.

mod access;
mod completions;
mod daemon;
mod devices;
mod download;
mod groups;
mod limit;
mod link;
mod list;
mod login;
mod logout;
mod password;
mod register;
mod search;
mod share;
mod status;
mod unshare;
mod verify;
mod withdraw;

use access::Access;
use completions::Completions;
use daemon::Daemon;
use devices::Devices;
use download::Download;
use groups::Groups;
use limit::Limit;
use link::Link;
use list::List;
use login::Login;
use logout::Logout;
use password::Password;
use register::Register;
use search::Search;
use share::Share;
use status::Status;
use unshare::Unshare;
use verify::Verify;
use withdraw::Withdraw;

use super::command::all_commands;

all_commands! {
    Register, Login, Password, Logout, Devices, Share, Unshare, Access, Withdraw, Groups, Download, List, Search, Status,
    Verify, Link, Daemon, Limit, Completions,
}
