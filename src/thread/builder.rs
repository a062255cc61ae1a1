//! Spawning with settings.
#![forbid(unsafe_code)]

use std::io;

use super::join::{JoinHandle, LocalJoinHandle, ScopedJoinHandle, Task};
use super::{Scope, Thread, hub};
use crate::fiber::{Fiber, Job};
use crate::hub::Place;
use crate::hub::runtime;

/// Settings of a green thread, as `std::thread::Builder`.
///
/// ```
/// sward::run(|| {
///     let thread = sward::thread::Builder::new()
///         .name("deep".into())
///         .stack_size(1 << 20)
///         .spawn(|| sward::thread::current().name().map(String::from))
///         .unwrap();
///     assert_eq!(thread.join().unwrap().as_deref(), Some("deep"));
/// });
/// ```
#[derive(Debug, Default)]
#[must_use = "spawn it"]
pub struct Builder {
    name: Option<String>,
    stack_size: Option<usize>,
    worker: Option<usize>,
}

impl Builder {
    /// Default settings: no name, the runtime's stack size, any worker.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name, for `Thread::name` and for reports.
    ///
    /// # Panics
    /// When it is spawned, if the name has a NUL byte in it, as std's does.
    pub fn name(mut self, name: String) -> Self {
        self.name = Some(name);
        self
    }

    /// Bytes of stack, 64 KiB of guard included; rounded up to a power of two. Default: the runtime's.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Pins it to the worker with this number, from 0. Default: whichever starts it first.
    pub fn worker(mut self, number: usize) -> Self {
        self.worker = Some(number);
        self
    }

    /// Starts `f` as [`spawn`](super::spawn) does.
    ///
    /// # Errors
    /// `InvalidInput` if there is no worker with the number asked for.
    pub fn spawn<F, T>(self, f: F) -> io::Result<JoinHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let task = Task::new(f, (), None);
        let place = self.worker.map_or(Place::Anywhere, Place::Worker);
        let (name, stack_size) = self.finish();
        let fiber = Fiber::new(name, stack_size, Job::new(task.clone()));
        let thread = Thread { inner: hub::Thread::Green(fiber.clone()) };
        hub::spawn(fiber, place)?;
        Ok(JoinHandle { thread, task })
    }

    /// Starts `f` as [`spawn_local`](super::spawn_local) does.
    ///
    /// # Errors
    /// `InvalidInput` on an OS thread, and if another worker than the caller's was asked for.
    pub fn spawn_local<F, T>(self, f: F) -> io::Result<LocalJoinHandle<T>>
    where
        F: FnOnce() -> T + 'static,
        T: 'static,
    {
        let here = runtime::worker().map(|(number, _)| number);
        if here.is_none() || self.worker.is_some_and(|wanted| Some(wanted) != here) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "spawn_local starts on the caller's worker, and an OS thread is none: use spawn, or sward::run",
            ));
        }
        let task = Task::new(f, (), None);
        let (name, stack_size) = self.finish();
        let fiber = Fiber::new(name, stack_size, Job::new_local(task.clone()));
        let thread = Thread { inner: hub::Thread::Green(fiber.clone()) };
        hub::spawn(fiber, Place::Here)?;
        Ok(LocalJoinHandle { thread, task })
    }

    /// Starts `f` in a scope, as [`Scope::spawn`](super::Scope::spawn) does.
    ///
    /// # Errors
    /// `InvalidInput` if there is no worker with the number asked for.
    pub fn spawn_scoped<'scope, F, T>(
        self,
        scope: &'scope Scope<'scope, '_>,
        f: F,
    ) -> io::Result<ScopedJoinHandle<'scope, T>>
    where
        F: FnOnce() -> T + Send + 'scope,
        T: Send + 'scope,
    {
        let place = self.worker.map_or(Place::Anywhere, Place::Worker);
        let (name, stack_size) = self.finish();
        scope.launch(name, stack_size, place, f)
    }

    fn finish(self) -> (Option<Box<str>>, usize) {
        let name = self.name.map(String::into_boxed_str);
        assert!(
            !name.as_deref().is_some_and(|name| name.contains('\0')),
            "thread name may not contain interior null bytes"
        );
        (name, self.stack_size.unwrap_or_else(runtime::stack_size))
    }
}
