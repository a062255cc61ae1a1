//! The buffers of a scattered transfer of which a part is done: what is left, without copying the list.

use std::ptr;

use libc::iovec;

/// A list of buffers as the caller gave it.
#[derive(Clone, Copy)]
pub(super) struct Buffers {
    pub(super) list: *const iovec,
    pub(super) count: usize,
}

impl Buffers {
    /// How many bytes they hold.
    ///
    /// # Safety
    /// The list is readable.
    pub(super) unsafe fn len(self) -> usize {
        let mut len = 0_usize;
        for at in 0..self.count {
            // SAFETY: within the list.
            len = len.saturating_add(unsafe { (*self.list.wrapping_add(at)).iov_len });
        }
        len
    }

    /// What is left after `done` bytes: the rest of the buffer that is cut there, which `cut` then holds, alone; or
    /// all that follow, if none is cut. The next attempt is for these.
    ///
    /// # Safety
    /// The list is readable.
    pub(super) unsafe fn after(self, mut done: usize, cut: &mut iovec) -> Buffers {
        if done == 0 {
            return self;
        }
        for at in 0..self.count {
            let here = self.list.wrapping_add(at);
            // SAFETY: within the list.
            let buffer = unsafe { *here };
            if done < buffer.iov_len {
                if done == 0 {
                    return Buffers { list: here, count: self.count - at };
                }
                cut.iov_base = buffer.iov_base.wrapping_byte_add(done);
                cut.iov_len = buffer.iov_len - done;
                return Buffers { list: cut, count: 1 };
            }
            done -= buffer.iov_len;
        }
        Buffers { list: ptr::null(), count: 0 }
    }
}

/// A place for `Buffers::after`.
pub(super) const NO_BUFFER: iovec = iovec { iov_base: ptr::null_mut(), iov_len: 0 };

#[cfg(test)]
mod tests {
    use super::*;

    fn left(lens: &[usize], done: usize) -> Vec<(usize, usize)> {
        let base = |at: usize| ptr::without_provenance_mut(1000 * (at + 1));
        let list: Vec<iovec> = lens
            .iter()
            .enumerate()
            .map(|(at, len)| iovec { iov_base: base(at), iov_len: *len })
            .collect();
        let all = Buffers { list: list.as_ptr(), count: list.len() };
        let mut cut = NO_BUFFER;
        // SAFETY: the list is `list`.
        let left = unsafe { all.after(done, &mut cut) };
        (0..left.count)
            .map(|at| {
                // SAFETY: within the list, or `cut`.
                let buffer = unsafe { left.list.add(at) };
                // SAFETY: as above.
                let buffer = unsafe { *buffer };
                (buffer.iov_base.addr(), buffer.iov_len)
            })
            .collect()
    }

    #[test]
    fn left_after_each_byte() {
        let lens = [3, 0, 2, 4];
        assert_eq!(left(&lens, 0), [(1000, 3), (2000, 0), (3000, 2), (4000, 4)]);
        assert_eq!(left(&lens, 1), [(1001, 2)]);
        assert_eq!(left(&lens, 2), [(1002, 1)]);
        assert_eq!(left(&lens, 3), [(3000, 2), (4000, 4)]);
        assert_eq!(left(&lens, 4), [(3001, 1)]);
        assert_eq!(left(&lens, 5), [(4000, 4)]);
        assert_eq!(left(&lens, 8), [(4003, 1)]);
        assert_eq!(left(&lens, 9), []);
    }
}
