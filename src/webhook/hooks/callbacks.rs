//! The callbacks of one process: who is called for which value of which key, and the green thread that calls.
//!
//! What it is not: shared with other processes; that is the store's part, in `mod.rs`.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;

use crate::sync::Mutex;
use crate::thread;
use crate::webhook::model::Keys;

/// Names a callback that was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HookId(u64);

/// What is called.
pub(super) type Call = Box<dyn Fn(&Value) + Send + Sync>;

/// Who is called for what. A callback stands in a list as often as it was registered for its key.
#[derive(Default)]
pub(super) struct Callbacks {
    lists: BTreeMap<String, HashMap<String, Vec<HookId>>>,
    /// Each with the number of lists that it is in.
    known: HashMap<HookId, (Arc<Callback>, usize)>,
    last: u64,
}

impl Callbacks {
    /// Registers a callback under each of the keys.
    pub(super) fn add(&mut self, keys: &Keys, call: Call) -> HookId {
        self.last += 1;
        let id = HookId(self.last);
        for (name, value) in keys.iter() {
            let values = self.lists.entry(name.to_owned()).or_default();
            values.entry(value.to_owned()).or_default().push(id);
        }
        self.known.insert(id, (Arc::new(Callback::new(call)), keys.iter().count()));
        id
    }

    /// Takes it out of the lists of these keys. Returns whether it was in one, and the keys that have no callback now.
    pub(super) fn remove(&mut self, keys: &Keys, id: HookId) -> (bool, Keys) {
        let (mut found, mut emptied) = (0, Keys::new());
        for (name, value) in keys.iter() {
            let Some(values) = self.lists.get_mut(name) else { continue };
            let Some(list) = values.get_mut(value) else { continue };
            let Some(at) = list.iter().position(|known| *known == id) else { continue };
            list.remove(at);
            found += 1;
            if list.is_empty() {
                values.remove(value);
                emptied.insert(name, value);
            }
            if values.is_empty() {
                self.lists.remove(name);
            }
        }
        if let Some((callback, places)) = self.known.get_mut(&id) {
            *places -= found;
            if *places == 0 {
                callback.forget();
                self.known.remove(&id);
            }
        }
        (found > 0, emptied)
    }

    /// Whether every key has a callback, and the callbacks of those that have: as often as they stand there.
    pub(super) fn find(&self, keys: &Keys) -> (bool, Vec<Arc<Callback>>) {
        let (mut all, mut found) = (true, Vec::new());
        for (name, value) in keys.iter() {
            match self.lists.get(name).and_then(|values| values.get(value)) {
                Some(list) => found.extend(list.iter().map(|id| self.known[id].0.clone())),
                None => all = false,
            }
        }
        (all, found)
    }

    /// The keys that have a callback.
    pub(super) fn keys(&self) -> Keys {
        let pairs = |(name, values): (&String, &HashMap<String, Vec<HookId>>)| {
            values.keys().map(|value| (name.clone(), value.clone())).collect::<Vec<_>>()
        };
        self.lists.iter().flat_map(pairs).collect()
    }

    /// How many were registered.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}

/// One callback, and what it is still to be called with: in order, one call at a time, by a green thread that is there only
/// while there is something to do.
pub(super) struct Callback {
    call: Call,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Arc<Value>>,
    /// A green thread is at it.
    busy: bool,
    /// It was unregistered: whoever it spoke to is gone.
    gone: bool,
}

impl Callback {
    fn new(call: Call) -> Callback {
        Callback { call, queue: Mutex::default() }
    }

    /// Calls it soon.
    pub(super) fn give(self: &Arc<Callback>, data: Arc<Value>) {
        let mut queue = super::lock(&self.queue);
        if queue.gone {
            return;
        }
        queue.waiting.push_back(data);
        if !queue.busy {
            queue.busy = true;
            let callback = self.clone();
            drop(thread::spawn(move || callback.run()));
        }
    }

    fn run(&self) {
        while let Some(data) = self.next() {
            // One that panics has said so by the panic hook; the next call is another try.
            let _ = catch_unwind(AssertUnwindSafe(|| (self.call)(&data)));
        }
    }

    fn next(&self) -> Option<Arc<Value>> {
        let mut queue = super::lock(&self.queue);
        let next = queue.waiting.pop_front();
        queue.busy = next.is_some();
        next
    }

    fn forget(&self) {
        let mut queue = super::lock(&self.queue);
        queue.gone = true;
        queue.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_empty_after_its_last_callback() {
        let (both, one) = (Keys::new().with("a", "1").with("b", "2"), Keys::new().with("a", "1"));
        let mut callbacks = Callbacks::default();
        let first = callbacks.add(&both, Box::new(|_| {}));
        let second = callbacks.add(&one, Box::new(|_| {}));
        assert_eq!(callbacks.keys(), both);
        assert_eq!(callbacks.find(&both).1.len(), 3, "one is there under two keys");
        assert!(!callbacks.find(&one.clone().with("c", "3")).0);
        assert_eq!(callbacks.remove(&both, first), (true, Keys::new().with("b", "2")));
        assert_eq!(callbacks.remove(&both, first), (false, Keys::new()));
        assert_eq!(callbacks.remove(&one, second), (true, one.clone()));
        assert_eq!((callbacks.len(), callbacks.keys()), (0, Keys::new()));
        assert!(callbacks.find(&Keys::new()).0, "nothing is asked for, and all of it is there");
    }
}
