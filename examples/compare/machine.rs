//! What the machine says of a process: memory as the kernel counts it, processor time, threads; and what machine it is.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// What a server takes at one moment. Bytes, unless it says otherwise; sums over the processes of a server.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Sample {
    /// Resident memory.
    pub(crate) rss: u64,
    /// The same, where what several processes share is counted in parts. It changes when another process starts that has
    /// the same program, as the clients are.
    pub(crate) pss: u64,
    /// What of it is no file's: heap and stacks.
    pub(crate) anonymous: u64,
    /// Page tables of the processes.
    pub(crate) page_tables: u64,
    /// Kernel stacks of the whole machine: each OS thread has one, and no process is charged for it.
    pub(crate) kernel_stacks: u64,
    /// Address space.
    pub(crate) virtual_size: u64,
    /// OS threads.
    pub(crate) threads: u64,
}

impl Sample {
    /// Of the process and its children.
    pub(crate) fn take(pid: u32) -> Sample {
        let kernel_stacks = field(&meminfo(), "KernelStack");
        let mut sample = Sample { kernel_stacks, ..Sample::default() };
        for pid in family(pid) {
            // Each once: of a process with ten thousand threads they take the kernel a while.
            let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}"));
            let status = read("status").unwrap_or_default();
            let rollup = read("smaps_rollup").unwrap_or_default();
            sample.rss += field(&rollup, "Rss");
            sample.pss += field(&rollup, "Pss");
            sample.anonymous += field(&rollup, "Pss_Anon");
            sample.page_tables += field(&status, "VmPTE");
            sample.virtual_size += field(&status, "VmSize");
            sample.threads += field(&status, "Threads") / 1024;
        }
        sample
    }

    /// What the machine has given up for it: heap and stacks, page tables, and stacks in the kernel.
    pub(crate) fn whole(&self) -> u64 {
        self.anonymous + self.page_tables + self.kernel_stacks
    }
}

/// The process, and those that it has started.
fn family(pid: u32) -> Vec<u32> {
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok());
    std::iter::once(pid).chain(children).collect()
}

/// Context switches of the process and its children since they started, of the threads that are alive. A look at each of
/// them: not while anything is measured.
pub(crate) fn switches_of(pid: u32) -> u64 {
    family(pid).into_iter().map(switches).sum()
}

fn switches(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of = |path: &str| {
        let status = fs::read_to_string(path).unwrap_or_default();
        let lines = status.lines().filter(|line| line.contains("ctxt_switches"));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum::<u64>()
    };
    tasks.map(|task| of(&format!("{}/status", task.path().display()))).sum()
}

fn meminfo() -> String {
    fs::read_to_string("/proc/meminfo").unwrap_or_default()
}

/// The number behind `name:` in a text of that form, times 1,024: these files count in kB.
fn field(text: &str, name: &str) -> u64 {
    let line =
        text.lines().find(|line| line.strip_prefix(name).is_some_and(|l| l.starts_with(':')));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

/// Processor time of all threads of this process, those that have ended too.
pub(crate) fn cpu_of_this_process() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The cores that this process may use.
pub(crate) fn cores() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect(),
        Err(_) => vec![0],
    }
}

/// Keeps this process to some of them. Without effect where that is not allowed.
pub(crate) fn pin_to(cores: &[usize]) {
    let mut set = CpuSet::new();
    cores.iter().for_each(|core| set.set(*core));
    if !cores.is_empty() {
        // OK to ignore: then they share the cores, which is what the figures are like on one core, too.
        let _ = sched_setaffinity(None, &set);
    }
}

/// As many open files as we may have.
pub(crate) fn raise_open_files() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // OK to ignore: then there will be fewer connections, and the table says so.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// What the figures were measured on.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) memory: u64,
    pub(crate) kernel: String,
    pub(crate) rustc: String,
    pub(crate) commit: String,
    pub(crate) load: String,
}

impl Machine {
    pub(crate) fn look() -> Machine {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        Machine {
            processor: model.unwrap_or("?").trim_start_matches(['\t', ' ', ':']).to_owned(),
            cores: cores().len(),
            memory: field(&meminfo(), "MemTotal"),
            kernel: text("/proc/sys/kernel/osrelease"),
            rustc: said_by("rustc", &["--version"]),
            commit: said_by("git", &["rev-parse", "--short", "HEAD"]),
            load: text("/proc/loadavg").split(' ').next().unwrap_or("?").to_owned(),
        }
    }

    pub(crate) fn line(&self) -> String {
        format!(
            "{} cores of {}, {} GiB, Linux {}, {}, commit {}, load {} at the start",
            self.cores,
            self.processor,
            self.memory >> 30,
            self.kernel,
            self.rustc,
            self.commit,
            self.load
        )
    }
}

impl Machine {
    /// For the foot of a chart.
    pub(crate) fn short(&self) -> String {
        format!(
            "measured on {} cores of {}, Linux {}, commit {}",
            self.cores, self.processor, self.kernel, self.commit
        )
    }

    /// If others were at work, too.
    pub(crate) fn warning(&self) -> Option<String> {
        let load: f64 = self.load.parse().ok()?;
        let busy = load > self.cores as f64 * 0.75;
        busy.then(|| {
            format!(
                "The machine was busy with something else (load {load} at the start): memory is right all the same, but do not \
                 trust what is about speed."
            )
        })
    }
}

fn said_by(program: &str, args: &[&str]) -> String {
    let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let here = if here.is_dir() { here } else { std::path::Path::new(".") };
    let output = std::process::Command::new(program).args(args).current_dir(here).output();
    let said = output.ok().map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.filter(|said| !said.is_empty()).unwrap_or_else(|| "?".into())
}
