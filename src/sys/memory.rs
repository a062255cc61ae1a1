//! Mappings for stacks: reserve address space, guard its low ends, give pages back.
//!
//! Not an allocator; `stack` is the one that cuts mappings into slots.

use std::ffi::c_void;
use std::io;
use std::ptr::NonNull;

use rustix::mm::{Advice, MapFlags, MprotectFlags, ProtFlags};

/// `MADV_GUARD_INSTALL` (Linux 6.13): touching the range is a SIGSEGV, at the cost of a page-table entry and of
/// no mapping. Written out because libc does not name it on every target yet.
const MADV_GUARD_INSTALL: i32 = 102;

/// The size of a page, in bytes.
pub(crate) fn page_size() -> usize {
    rustix::param::page_size()
}

/// A private anonymous mapping, unmapped on drop. Address space only: the kernel commits pages on first touch.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

impl Mapping {
    /// Reserves `len` bytes, readable and writable, without huge pages (one touched byte must cost one page).
    pub(crate) fn reserve(len: usize) -> io::Result<Self> {
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), len, prot, flags)? };
        let mapping =
            Mapping { start: NonNull::new(start.cast()).expect("mmap never returns null"), len };
        // OK to ignore: kernels built without huge pages answer EINVAL, and have nothing to switch off.
        // SAFETY: the range is the mapping just made; the advice changes no contents.
        let _ = unsafe { rustix::mm::madvise(start, len, Advice::LinuxNoHugepage) };
        Ok(mapping)
    }

    pub(crate) fn start(&self) -> usize {
        self.start.as_ptr() as usize
    }

    fn range(&self, offset: usize, len: usize) -> *mut c_void {
        assert!(
            offset.checked_add(len).is_some_and(|end| end <= self.len),
            "range leaves the mapping"
        );
        // SAFETY: the assertion keeps the result inside the mapping.
        unsafe { self.start.as_ptr().add(offset).cast() }
    }

    /// Makes every access to the range a SIGSEGV, by page-table markers.
    ///
    /// # Safety
    /// Nobody uses the range.
    pub(crate) unsafe fn guard_by_marker(&self, offset: usize, len: usize) -> io::Result<()> {
        let at = self.range(offset, len);
        // SAFETY: inside our mapping, unused as the caller promises.
        match unsafe { libc::madvise(at, len, MADV_GUARD_INSTALL) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// The same by page protection: works on every kernel, splits the mapping in two.
    ///
    /// # Safety
    /// Nobody uses the range.
    pub(crate) unsafe fn guard_by_protection(&self, offset: usize, len: usize) -> io::Result<()> {
        let at = self.range(offset, len);
        // SAFETY: inside our mapping, unused as the caller promises.
        unsafe { rustix::mm::mprotect(at, len, MprotectFlags::empty())? };
        Ok(())
    }

    /// Gives the pages of the range back; they read as zero when touched again. Guards stay.
    ///
    /// # Safety
    /// Nobody needs the contents.
    pub(crate) unsafe fn discard(&self, offset: usize, len: usize) {
        let at = self.range(offset, len);
        // OK to ignore: memory that is not given back is only wasted.
        // SAFETY: inside our mapping, contents unneeded as the caller promises.
        let _ = unsafe { rustix::mm::madvise(at, len, Advice::LinuxDontNeed) };
    }

    /// Whether any page of the range is in memory. `pages` is room for one byte per page.
    pub(crate) fn is_resident(&self, offset: usize, len: usize, pages: &mut [u8]) -> bool {
        let at = self.range(offset, len);
        assert!(pages.len() * page_size() >= len, "no room for the answer");
        // SAFETY: the range is ours and the answer fits `pages`, as asserted.
        let failed = unsafe { libc::mincore(at, len, pages.as_mut_ptr()) } != 0;
        failed || pages[..len.div_ceil(page_size())].iter().any(|page| page & 1 == 1)
    }
}

/// Gives the pages of a range of addresses back; they read as zero when touched again.
///
/// # Safety
/// The range is page-aligned, mapped, private to the caller, and nobody needs its contents.
pub(crate) unsafe fn discard_range(from: usize, len: usize) {
    let at = std::ptr::with_exposed_provenance_mut(from);
    // OK to ignore: memory that is not given back is only wasted.
    // SAFETY: as the caller promises.
    let _ = unsafe { rustix::mm::madvise(at, len, Advice::LinuxDontNeed) };
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the owner of the mapping lets go of it; `stack` keeps it alive while a slot is in use.
        let _ = unsafe { rustix::mm::munmap(self.start.as_ptr().cast(), self.len) };
    }
}

// SAFETY: a mapping is plain memory; nothing about it belongs to a thread.
unsafe impl Send for Mapping {}
