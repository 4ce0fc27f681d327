//! The shell that owns the server's processes.
//!
//! A static is not dropped when a process exits, and nothing is when it is killed. So the server is the child of a
//! small shell script that reads commands from a pipe: when the pipe closes, for whatever reason this process ended,
//! the script kills the server and deletes its folder. That needs no code in this process and no cooperation of a
//! panicking test.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::programs::{Programs, give};

/// The supervisor. Its arguments are the folder, the folder of programs, then the server's options. It answers each command with one line:
/// `ok`, or what went wrong. The waits are bounded loops of 50 ms: a shell has nothing better for a process that is not
/// its child.
const SCRIPT: &str = r#"
folder=$1 bin=$2; shift 2
psql=$bin/psql; [ -x "$psql" ] || psql=psql
server=
finish() {
    [ -n "$server" ] && tell CONT
    [ -n "$server" ] && kill -QUIT "$server" 2>/dev/null && wait "$server" 2>/dev/null
    cd / && rm -rf "$folder"
}
# The server's processes are not one group: they are found by their parent while it is there.
tell() {
    all=$server
    for stat in /proc/[0-9]*/stat; do
        read -r pid name state parent rest <"$stat" && [ "$parent" = "$server" ] && all="$all $pid"
    done 2>/dev/null
    kill "-$1" $all 2>/dev/null
}
init() {
    # Not synced: what is killed here is a server, never the machine.
    "$bin/initdb" -D "$folder/data" -U postgres --auth=trust --encoding=UTF8 --locale=C --no-sync --no-instructions \
        >"$folder/log" 2>&1 </dev/null && echo ok || echo "initdb: $(tail -n 3 "$folder/log" | tr '\n' ' ')"
}
start() {
    "$bin/postgres" -D "$folder/data" -k "$folder" "$@" >>"$folder/log" 2>&1 </dev/null &
    server=$!
    tries=0
    until "$psql" -X -q -w -h "$folder" -U postgres -d postgres -c '' 2>/dev/null; do
        tries=$((tries + 1))
        if [ $tries -gt 400 ] || ! kill -0 "$server" 2>/dev/null; then
            echo "the server did not start: $(tail -n 3 "$folder/log" | tr '\n' ' ')"
            return
        fi
        sleep 0.05
    done
    echo ok
}
stop() {
    kill -INT "$server" && wait "$server" 2>/dev/null
    server=
    echo ok
}
kill9() {
    tell KILL
    wait "$server" 2>/dev/null
    for pid in $all; do
        tries=0
        while kill -0 "$pid" 2>/dev/null && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.05; done
    done
    server=
    echo ok
}
trap finish EXIT
# Answering a process that is gone is the end as well.
trap 'exit 1' PIPE HUP TERM
while read -r command; do
    case $command in
        init) init ;;
        start) start "$@" ;;
        stop) stop ;;
        kill9) kill9 ;;
        freeze) tell STOP; echo ok ;;
        thaw) tell CONT; echo ok ;;
        *) echo "unknown command" ;;
    esac
done
"#;

/// The script's process and the folder it will delete.
#[derive(Debug)]
pub(super) struct Supervisor {
    shell: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    folder: PathBuf,
}

impl Supervisor {
    /// Makes a folder with a new cluster in it; starts nothing yet. `sync` is whether the server's writes reach the
    /// disk.
    pub(super) fn new(programs: &Programs, settings: &[&str], sync: bool, port: u16) -> Result<Self, String> {
        let folder = folder(programs)?;
        let bin = programs.program("postgres").parent().map(Path::to_owned).unwrap_or_default();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT, "postgres-supervisor"]).arg(&folder).arg(bin);
        for setting in settings.iter().copied().chain((!sync).then_some("fsync=off")) {
            shell.args(["-c", setting]);
        }
        // For the server and for the psql that asks whether it is there.
        shell.env("PGPORT", port.to_string());
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
        // In a group of its own: Ctrl-C in the terminal of the tests is for the tests, and the pipe tells the script.
        shell.process_group(0);
        as_user(&mut shell, programs);
        let mut shell = shell.spawn().map_err(|error| format!("/bin/sh: {error}"))?;
        let commands = shell.stdin.take();
        let answers = BufReader::new(shell.stdout.take().ok_or("the shell has no output")?);
        let mut supervisor = Self { shell, commands, answers, folder };
        supervisor.command("init")?;
        Ok(supervisor)
    }

    /// Returns the folder of the server's socket.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Has the script do `command` and waits until it is done.
    pub(super) fn command(&mut self, command: &str) -> Result<(), String> {
        let pipe = self.commands.as_mut().ok_or("stopped")?;
        writeln!(pipe, "{command}").map_err(|error| format!("PostgreSQL's supervisor: {error}"))?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).map_err(|error| format!("PostgreSQL's supervisor: {error}"))?;
        if answer.trim() == "ok" { Ok(()) } else { Err(format!("PostgreSQL, {command}: {}", answer.trim())) }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.commands = None;
        let _ended = self.shell.wait();
    }
}

/// A new folder that only the server's user may enter. Short, because a socket's path has at most 107 bytes.
fn folder(programs: &Programs) -> Result<PathBuf, String> {
    let folder =
        tempfile::Builder::new().prefix("peernet-pg-").tempdir().map_err(|error| format!("no folder: {error}"))?;
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700))
        .map_err(|error| error.to_string())?;
    give(folder.path(), programs.run_as)?;
    Ok(folder.keep())
}

fn as_user(command: &mut Command, programs: &Programs) {
    if let Some(user) = programs.run_as {
        command.uid(user.uid).gid(user.gid);
    }
}
