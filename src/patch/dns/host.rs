//! A `hostent` as our own value: read from libc's, packed into whatever memory the caller gave.
//!
//! Packed, the text and the arrays of pointers to it lie in one piece of memory:
//!
//! ```text
//! | alias pointers, null | address pointers, null | addresses | name | aliases |
//! ```
//! with the pointers first because they need alignment. (C code reads an address as a `struct in_addr`, of 4 bytes;
//! addresses of 4 or 16 bytes after pointers are aligned for that.)

use std::ffi::{CStr, CString};
use std::ptr;

use libc::{c_char, c_int, hostent};

/// What is known about a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Host {
    name: Option<CString>,
    aliases: Vec<CString>,
    family: c_int,
    /// Of each address.
    length: usize,
    addresses: Vec<Vec<u8>>,
}

/// The entries of an array that ends with null; none if there is no array.
///
/// # Safety
/// Null, or such an array.
unsafe fn entries(mut at: *mut *mut c_char) -> Vec<*mut c_char> {
    let mut all = Vec::new();
    while !at.is_null() {
        // SAFETY: not beyond the null that ends it.
        let entry = unsafe { at.read() };
        if entry.is_null() {
            break;
        }
        all.push(entry);
        at = at.wrapping_add(1);
    }
    all
}

impl Host {
    /// # Safety
    /// `host` is one as libc makes them.
    pub(super) unsafe fn read(host: &hostent) -> Host {
        let length = usize::try_from(host.h_length).unwrap_or(0);
        // SAFETY: C strings, in libc's hostents.
        let string = |text: *mut c_char| unsafe { CStr::from_ptr(text) }.to_owned();
        let address = |bytes: *mut c_char| {
            // SAFETY: `h_length` bytes each.
            unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) }.to_vec()
        };
        // SAFETY: an array that ends with null.
        let aliases = unsafe { entries(host.h_aliases) };
        // SAFETY: as above.
        let addresses = unsafe { entries(host.h_addr_list) };
        Host {
            name: (!host.h_name.is_null()).then(|| string(host.h_name)),
            aliases: aliases.into_iter().map(string).collect(),
            family: host.h_addrtype,
            length,
            addresses: addresses.into_iter().map(address).collect(),
        }
    }

    /// How much memory `pack` takes at most.
    pub(super) fn room(&self) -> usize {
        let pointers = self.aliases.len() + self.addresses.len() + 3;
        let text = |text: &CString| text.count_bytes() + 1;
        pointers * size_of::<*mut c_char>()
            + self.addresses.len() * self.length
            + self.name.as_ref().map_or(0, text)
            + self.aliases.iter().map(text).sum::<usize>()
    }

    /// Writes all of it to `memory`, and returns a hostent that points there. `None` if there is too little.
    ///
    /// # Safety
    /// `memory` points to `room` bytes that may be written.
    pub(super) unsafe fn pack(&self, memory: *mut c_char, room: usize) -> Option<hostent> {
        if room < self.room() {
            return None;
        }
        // What `align_offset` skips is less than the pointer that `room` counts too many.
        let pointers = memory.wrapping_add(memory.align_offset(align_of::<*mut c_char>())).cast();
        let ends = self.aliases.len() + self.addresses.len() + 2;
        let mut next_pointer: *mut *mut c_char = pointers;
        let mut next_byte: *mut c_char = pointers.wrapping_add(ends).cast();
        let mut bytes = |bytes: &[u8]| {
            let at = next_byte;
            // SAFETY: within the memory: `room` has counted it.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), at, bytes.len()) };
            next_byte = at.wrapping_add(bytes.len());
            at
        };
        let addresses: Vec<_> = self.addresses.iter().map(|address| bytes(address)).collect();
        let name =
            self.name.as_ref().map_or(ptr::null_mut(), |name| bytes(name.to_bytes_with_nul()));
        let aliases: Vec<_> = self.aliases.iter().map(|a| bytes(a.to_bytes_with_nul())).collect();
        let mut array = |entries: &[*mut c_char]| {
            let start = next_pointer;
            for entry in entries.iter().copied().chain([ptr::null_mut()]) {
                // SAFETY: as above, and aligned.
                unsafe { next_pointer.write(entry) };
                next_pointer = next_pointer.wrapping_add(1);
            }
            start
        };
        Some(hostent {
            h_name: name,
            h_aliases: array(&aliases),
            h_addrtype: self.family,
            h_length: self.length as c_int,
            h_addr_list: array(&addresses),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host {
            name: Some(c"green.example".to_owned()),
            aliases: vec![c"blade.example".to_owned(), c"b".to_owned()],
            family: libc::AF_INET,
            length: 4,
            addresses: vec![vec![127, 0, 0, 1], vec![127, 0, 0, 2]],
        }
    }

    #[test]
    fn packed_and_read_again() {
        let host = host();
        for skew in 0..8 {
            let mut memory = vec![0x55_u8; 8 + host.room() + 8];
            let at = memory.as_mut_ptr().wrapping_add(skew).cast();
            // SAFETY: as much room as is said, with 8 - `skew` to spare.
            let packed = unsafe { host.pack(at, host.room()) }.unwrap();
            assert!(packed.h_aliases.is_aligned() && packed.h_addr_list.is_aligned());
            // SAFETY: just packed, and the memory is there.
            assert_eq!(unsafe { Host::read(&packed) }, host, "at {skew}");
            assert!(memory[..skew].iter().all(|byte| *byte == 0x55), "before, at {skew}");
            let end = skew + host.room();
            assert!(memory[end..].iter().all(|byte| *byte == 0x55), "behind, at {skew}");
        }
    }

    #[test]
    fn too_little_room() {
        let mut memory = vec![0_u8; host().room()];
        // SAFETY: less than there is.
        let packed = unsafe { host().pack(memory.as_mut_ptr().cast(), memory.len() - 1) };
        assert!(packed.is_none());
    }
}
