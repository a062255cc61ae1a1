//! The command line, parsed by hand. Pure; `main.rs` acts on what comes out.

#![forbid(unsafe_code)]

use sward::http::Mode;

pub(crate) const HELP: &str = "\
webhooks: results from workers to everybody who waits, by a durable webhook registry

Usage: webhooks [FLAGS]            then open the URL that it prints

  --addr ADDR         where the first instance listens (default 127.0.0.1:8080; port 0 picks a free
                      one). The others take the ports after it
  --instances N       web instances, each with its own URL (default 2)
  --store STORE       memory (default), sqlite:PATH, redis:URL or mongodb:URL (the last two need the
                      features of their names)
  --mode MODE         green (default), threads, or pool:N, for the web instances
  --workers N         workers that do jobs (default 4)
  --post HOW          how a result is told: durable (default: kept, signed, tried again) or direct
                      (one POST to each instance, as skyhooks' workers did)
  --token TOKEN       the API's token (default: a new one, which is printed)
  --renew SECONDS     how often instances renew what they wait for (default 120)

Several processes, on one Redis or MongoDB:
  --role worker       only the workers; prints their URL
  --role web          only web instances; --jobs URL says where the workers are

  --help              this text

Each instance: / the page, /v1 the registry's API (/v1/openapi.json), /hooks (skyhooks' form),
/accounts/A/tasks (POST), /accounts/A/events, /accounts/A/ws, /accounts/A/poll, /tasks/ID/get,
/gateway/PATH (reverse webhook proxy to /backend/PATH), /sink/ok|fail|flaky|slow|gone|busy.
";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    All,
    Web,
    Worker,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Options {
    pub(crate) addr: String,
    pub(crate) instances: u16,
    pub(crate) store: String,
    pub(crate) mode: Mode,
    pub(crate) workers: usize,
    pub(crate) direct: bool,
    pub(crate) token: Option<String>,
    pub(crate) renew: u64,
    pub(crate) role: Role,
    pub(crate) jobs: Option<String>,
}

/// `Ok(None)` means `--help`. An error says what to do about it.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options {
        addr: "127.0.0.1:8080".into(),
        instances: 2,
        store: "memory".into(),
        mode: Mode::Green,
        workers: 4,
        direct: false,
        token: None,
        renew: 120,
        role: Role::All,
        jobs: None,
    };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let (flag, inline) = match arg.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        if matches!(&flag[..], "--help" | "-h") {
            return Ok(None);
        }
        let known = [
            "--addr",
            "--instances",
            "--store",
            "--mode",
            "--workers",
            "--post",
            "--token",
            "--renew",
            "--role",
            "--jobs",
        ];
        if !known.contains(&&flag[..]) {
            return Err(format!("there is no {flag}; the flags are {}", known.join(" ")));
        }
        let value = inline.or_else(|| args.next()).ok_or(format!("{flag} needs a value"))?;
        match &flag[..] {
            "--addr" => options.addr = value,
            "--instances" => options.instances = number(&flag, &value, 64)? as u16,
            "--store" => options.store = value,
            "--mode" => options.mode = value.parse().map_err(|e| format!("--mode {value}: {e}"))?,
            "--workers" => options.workers = number(&flag, &value, 10_000)? as usize,
            "--post" => {
                options.direct = match &value[..] {
                    "direct" => true,
                    "durable" => false,
                    _ => return Err(format!("--post {value}: durable or direct")),
                }
            }
            "--token" => options.token = Some(value),
            "--renew" => options.renew = number(&flag, &value, 86_400)?,
            "--role" => {
                options.role = match &value[..] {
                    "all" => Role::All,
                    "web" => Role::Web,
                    "worker" => Role::Worker,
                    _ => return Err(format!("--role {value}: all, web or worker")),
                }
            }
            _ => options.jobs = Some(value.trim_end_matches('/').to_owned()),
        }
    }
    if (options.role == Role::Web) != options.jobs.is_some() {
        return Err("--role web and --jobs URL go together".into());
    }
    let alone = options.store == "memory" || options.store.starts_with("sqlite:");
    if options.role != Role::All && alone {
        let why =
            "several processes need a store that they share: --store redis:URL or mongodb:URL";
        return Err(why.into());
    }
    Ok(Some(options))
}

fn number(flag: &str, value: &str, most: u64) -> Result<u64, String> {
    let wanted = format!("{flag} {value}: give a whole number from 1 to {most}");
    value.parse().ok().filter(|n| (1..=most).contains(n)).ok_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Option<Options>, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn flags() {
        let options = parsed("").unwrap().unwrap();
        assert_eq!((&options.addr[..], options.instances), ("127.0.0.1:8080", 2));
        let line = "--role=web --jobs http://127.0.0.1:9/ --store redis:redis://h --instances 3 --mode pool:8 --post direct";
        let options = parsed(line).unwrap().unwrap();
        assert_eq!(
            (options.role, options.jobs.as_deref()),
            (Role::Web, Some("http://127.0.0.1:9"))
        );
        assert!(options.direct && options.mode == Mode::Pool(8) && options.instances == 3);
        assert_eq!(parsed("--instances 3 -h"), Ok(None));
    }

    #[test]
    fn mistakes_are_explained() {
        for (line, says) in [
            ("--port 1", "the flags are"),
            ("--addr", "needs a value"),
            ("--instances 0", "from 1 to 64"),
            ("--mode fast", "green, threads, pool:N"),
            ("--post twice", "durable or direct"),
            ("--role web", "go together"),
            ("--role worker --store sqlite:a.db", "redis:URL"),
        ] {
            let error = parsed(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
