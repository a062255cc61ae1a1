//! Names. The resolver is libc's with a slow one in front of it (`slow_names.c`), so that a wait can be seen without
//! a name server.

use std::ffi::{CStr, c_char, c_void};
use std::io::ErrorKind;
use std::net::ToSocketAddrs;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{addrinfo, hostent};

use super::*;

unsafe extern "C" {
    fn getaddrinfo(
        node: *const c_char,
        service: *const c_char,
        hints: *const addrinfo,
        result: *mut *mut addrinfo,
    ) -> i32;
    fn getnameinfo(
        address: *const libc::sockaddr,
        length: u32,
        host: *mut c_char,
        host_room: u32,
        service: *mut c_char,
        service_room: u32,
        flags: i32,
    ) -> i32;
    fn gethostbyname(name: *const c_char) -> *mut hostent;
    fn gethostbyname2(name: *const c_char, family: i32) -> *mut hostent;
    fn gethostbyaddr(address: *const c_void, length: u32, family: i32) -> *mut hostent;
    fn gethostbyname_r(
        name: *const c_char,
        host: *mut hostent,
        memory: *mut c_char,
        room: usize,
        found: *mut *mut hostent,
        h_errno: *mut i32,
    ) -> i32;
    fn gethostbyname2_r(
        name: *const c_char,
        family: i32,
        host: *mut hostent,
        memory: *mut c_char,
        room: usize,
        found: *mut *mut hostent,
        h_errno: *mut i32,
    ) -> i32;
    fn gethostbyaddr_r(
        address: *const c_void,
        length: u32,
        family: i32,
        host: *mut hostent,
        memory: *mut c_char,
        room: usize,
        found: *mut *mut hostent,
        h_errno: *mut i32,
    ) -> i32;
    safe fn __h_errno_location() -> *mut i32;
}

const HOST_NOT_FOUND: i32 = 1;
const NETDB_INTERNAL: i32 = -1;
const LOCALHOST: [u8; 4] = [127, 0, 0, 1];

/// As `alone`, with the slow resolver.
fn slowly(name: &str, body: fn()) {
    let library =
        format!("{}/slow_names_{}.so", env!("CARGO_TARGET_TMPDIR"), name.replace(':', "_"));
    case(name, 30 * SECOND, || {
        if std::env::var_os("LD_PRELOAD").is_none() {
            let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/patch_calls/slow_names.c");
            let mut compiler = Command::new("cc");
            compiler.args(["-shared", "-fPIC", "-o", &library, source, "-ldl"]);
            assert!(compiler.status().expect("a C compiler").success());
            // This very process, once more, with the library in front of libc.
            let mut again = Command::new(std::env::current_exe().unwrap());
            panic!(
                "{}",
                again.args(std::env::args_os().skip(1)).env("LD_PRELOAD", &library).exec()
            );
        }
        patched(body);
    });
}

/// One of the library's counters.
fn counter(name: &CStr) -> i32 {
    // SAFETY: a C string.
    let at = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.cast::<AtomicI32>();
    // SAFETY: an atomic int of the library, which stays.
    unsafe { at.as_ref() }.expect("the library is loaded").load(Ordering::SeqCst)
}

fn asked() -> i32 {
    counter(c"slow_asked")
}

fn freed() -> i32 {
    counter(c"slow_freed")
}

fn h_errno() -> i32 {
    // SAFETY: the calling thread's own.
    unsafe { *__h_errno_location() }
}

/// getaddrinfo's code, errno, and how many addresses.
fn look_up(node: &CStr, service: Option<&CStr>, hints: Option<&addrinfo>) -> (i32, i32, usize) {
    let service = service.map_or(ptr::null(), CStr::as_ptr);
    let hints = hints.map_or(ptr::null(), ptr::from_ref);
    let mut list = ptr::null_mut();
    set_errno(libc::EXDEV);
    // SAFETY: C strings and hints, or null.
    let code = unsafe { getaddrinfo(node.as_ptr(), service, hints, &raw mut list) };
    let error = errno();
    let (mut n, mut at) = (0, list);
    // SAFETY: a list that ends with null.
    while let Some(entry) = unsafe { at.as_ref() } {
        (n, at) = (n + 1, entry.ai_next);
    }
    if !list.is_null() {
        // SAFETY: getaddrinfo's.
        unsafe { libc::freeaddrinfo(list) };
    }
    (code, error, n)
}

#[test]
fn std_names() {
    slowly("dns::std_names", || {
        let addresses = cooperative(|| ("localhost", 80).to_socket_addrs()).unwrap();
        assert!(addresses.into_iter().all(|address| address.ip().is_loopback()));
        // SAFETY: takes nothing.
        assert_ne!(counter(c"slow_thread"), unsafe { libc::gettid() }, "on another thread");
        // Ten at once take no longer than one, or two, on a busy machine.
        takes(200 * TICK, 3 * SECOND / 2, || {
            let askers: Vec<_> = (0..10)
                .map(|_| thread::spawn(|| ("localhost", 80).to_socket_addrs().unwrap().count()))
                .collect();
            assert!(askers.into_iter().all(|asker| asker.join().unwrap() > 0));
        });
        assert_eq!(freed(), 11, "std gives its lists back");
    });
}

#[test]
fn answers_and_errors() {
    slowly("dns::answers_and_errors", || {
        // SAFETY: all zeroes are no hints.
        let mut hints: addrinfo = unsafe { std::mem::zeroed() };
        (hints.ai_family, hints.ai_socktype) = (libc::AF_INET, libc::SOCK_STREAM);
        let found = cooperative(|| look_up(c"localhost", Some(c"80"), Some(&hints)));
        assert_eq!(found, (0, libc::EXDEV, 1), "hints count, errno is kept");
        assert_eq!(look_up(c"nobody", None, None), (libc::EAI_NONAME, libc::EXDEV, 0));
        set_errno(0);
        assert_eq!(look_up(c"broken", None, None), (libc::EAI_SYSTEM, libc::EXDEV, 0));
        hints.ai_flags = -1;
        assert_eq!(look_up(c"localhost", None, Some(&hints)).0, libc::EAI_BADFLAGS);
    });
}

#[test]
fn numbers_need_no_pool() {
    slowly("dns::numbers_need_no_pool", || {
        // SAFETY: takes nothing.
        let me = unsafe { libc::gettid() };
        for node in [c"127.0.0.1", c"::1"] {
            assert_eq!(look_up(node, Some(c"80"), None).0, 0);
            assert_eq!(counter(c"slow_thread"), me);
        }
        // A service by name is looked up.
        look_up(c"127.0.0.1", Some(c"http"), None);
        assert_ne!(counter(c"slow_thread"), me);
        // SAFETY: a C string.
        let host = unsafe { gethostbyname(c"127.0.0.1".as_ptr()) };
        assert_eq!(read(host).1, [LOCALHOST]);
        assert_eq!((asked(), pool_threads()), (3, 1), "that was libc's own");
        let (code, _, port) = name_info(libc::NI_NUMERICHOST | libc::NI_NUMERICSERV, 64);
        assert_eq!((code, port.as_str()), (0, "80"));
        assert_eq!(counter(c"slow_thread"), me);
    });
}

#[test]
fn given_up_lists_are_freed() {
    slowly("dns::given_up_lists_are_freed", || {
        let ask = || sward::timeout(50 * TICK, || look_up(c"slow-localhost", None, None));
        let given_up = takes(50 * TICK, 3 * SECOND, ask).unwrap();
        assert_eq!(given_up, (libc::EAI_SYSTEM, libc::ETIMEDOUT, 0));
        let error =
            sward::timeout(TICK, || ("slow-localhost", 80).to_socket_addrs().unwrap_err().kind());
        assert_eq!(error, Ok(ErrorKind::TimedOut), "std's way");
        let asker = thread::spawn(|| look_up(c"slow-localhost", None, None));
        thread::sleep(20 * TICK);
        asker.cancel();
        assert_eq!(asker.join().unwrap(), (libc::EAI_SYSTEM, libc::ECANCELED, 0));
        // Three lists come that nobody wants any more.
        let start = Instant::now();
        while freed() < 3 && start.elapsed() < 10 * SECOND {
            thread::sleep(TICK);
        }
        assert_eq!((asked(), freed()), (3, 3));
    });
}

/// getnameinfo's code, host and service, for 127.0.0.1:80.
fn name_info(flags: i32, room: u32) -> (i32, String, String) {
    // SAFETY: all zeroes are an address of no family.
    let mut address: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    address.sin_family = libc::AF_INET as u16;
    address.sin_port = 80_u16.to_be();
    address.sin_addr.s_addr = u32::from_ne_bytes(LOCALHOST);
    let (mut host, mut service) = ([0_u8; 64], [0_u8; 64]);
    let length = size_of::<libc::sockaddr_in>() as u32;
    let at = (&raw const address).cast();
    let (to, to_service) = (host.as_mut_ptr().cast(), service.as_mut_ptr().cast());
    // SAFETY: an address and room for two names.
    let code = unsafe { getnameinfo(at, length, to, room, to_service, 64, flags) };
    let text = |name: &[u8]| CStr::from_bytes_until_nul(name).unwrap().to_str().unwrap().to_owned();
    (code, text(&host), text(&service))
}

#[test]
fn by_address() {
    slowly("dns::by_address", || {
        let (code, host, service) = cooperative(|| name_info(libc::NI_NUMERICSERV, 64));
        assert_eq!((code, service.as_str()), (0, "80"));
        assert!(!host.is_empty());
        assert_eq!(name_info(0, 2).0, libc::EAI_OVERFLOW, "room for one letter");
        let cut = || sward::timeout(50 * TICK, || (name_info(libc::NI_DGRAM, 64).0, errno()));
        assert_eq!(takes(50 * TICK, 3 * SECOND, cut), Ok((libc::EAI_SYSTEM, libc::ETIMEDOUT)));
    });
}

/// Name and addresses.
fn read(host: *const hostent) -> (String, Vec<Vec<u8>>) {
    // SAFETY: null, or as libc makes them.
    let host = unsafe { host.as_ref() }.expect("found");
    // SAFETY: a C string.
    let name = unsafe { CStr::from_ptr(host.h_name) }.to_str().unwrap().to_owned();
    let mut addresses = Vec::new();
    for n in 0.. {
        // SAFETY: an array that ends with null.
        let at = unsafe { host.h_addr_list.wrapping_add(n).read() };
        if at.is_null() {
            break;
        }
        // SAFETY: as many bytes as are said.
        let bytes = unsafe { std::slice::from_raw_parts(at.cast::<u8>(), host.h_length as usize) };
        addresses.push(bytes.to_vec());
    }
    (name, addresses)
}

#[test]
fn hosts() {
    slowly("dns::hosts", || {
        // SAFETY: a C string.
        let one = cooperative(|| unsafe { gethostbyname(c"localhost".as_ptr()) });
        assert_eq!(read(one), ("localhost".to_owned(), vec![LOCALHOST.to_vec()]));
        // Another green thread's answer does not touch ours.
        let other = thread::spawn(|| {
            // SAFETY: a C string.
            let host = unsafe { gethostbyname2(c"localhost".as_ptr(), libc::AF_INET6) };
            read(host).1.first().map(Vec::len)
        });
        // IPv6 may be missing here; then it is not found.
        assert!(other.join().is_ok_and(|length| length == Some(16)) || h_errno() != 0);
        assert_eq!(read(one).1, [LOCALHOST]);
        // Its own next one takes its place.
        // SAFETY: as many bytes as are said.
        let two =
            cooperative(|| unsafe { gethostbyaddr(LOCALHOST.as_ptr().cast(), 4, libc::AF_INET) });
        assert_eq!(read(two).1, [LOCALHOST]);
        // SAFETY: a C string.
        let nobody = cooperative(|| unsafe { gethostbyname(c"nobody".as_ptr()) });
        assert_eq!((nobody, h_errno()), (ptr::null_mut(), HOST_NOT_FOUND));
        // SAFETY: a C string.
        let ask = || (unsafe { gethostbyname(c"slow-localhost".as_ptr()) }, h_errno(), errno());
        let cut = sward::timeout(50 * TICK, ask).unwrap();
        assert_eq!(cut, (ptr::null_mut(), NETDB_INTERNAL, libc::ETIMEDOUT));
    });
}

/// The code, the answer, h_errno, and whether the answer lies in the caller's memory.
fn by_r(room: usize, which: usize) -> (i32, Option<Vec<Vec<u8>>>, i32) {
    let mut memory = [0x55_u8; 2048];
    // SAFETY: all zeroes are valid.
    let mut host: hostent = unsafe { std::mem::zeroed() };
    let (mut found, mut h_errno) = (ptr::dangling_mut(), 99);
    let (to, at, found_at) = (&raw mut host, memory.as_mut_ptr().cast(), &raw mut found);
    let name = [c"localhost", c"", c"", c"nobody", c"slow-localhost"][which].as_ptr();
    let (address, inet) = (LOCALHOST.as_ptr().cast(), libc::AF_INET);
    let code = match which {
        // SAFETY: room as is said.
        1 => unsafe {
            gethostbyname2_r(c"localhost".as_ptr(), inet, to, at, room, found_at, &raw mut h_errno)
        },
        // SAFETY: as above.
        2 => unsafe { gethostbyaddr_r(address, 4, inet, to, at, room, found_at, &raw mut h_errno) },
        // SAFETY: as above.
        _ => unsafe { gethostbyname_r(name, to, at, room, found_at, &raw mut h_errno) },
    };
    assert!(memory[room..].iter().all(|byte| *byte == 0x55), "nothing beyond the room");
    assert!(found.is_null() || found == to);
    (code, (!found.is_null()).then(|| read(found).1), h_errno)
}

#[test]
fn hosts_in_the_callers_memory() {
    slowly("dns::hosts_in_the_callers_memory", || {
        for which in 0..3 {
            let (code, addresses, _) = cooperative(|| by_r(1024, which));
            assert_eq!((code, addresses), (0, Some(vec![LOCALHOST.to_vec()])));
            assert_eq!(by_r(8, which), (libc::ERANGE, None, NETDB_INTERNAL));
        }
        assert_eq!(by_r(1024, 3), (0, None, HOST_NOT_FOUND));
        let cut = || sward::timeout(50 * TICK, || by_r(1024, 4));
        let given_up = takes(50 * TICK, 3 * SECOND, cut);
        assert_eq!(given_up, Ok((libc::ETIMEDOUT, None, NETDB_INTERNAL)));
        // The answer comes when the caller's frame is gone, and must not be written there.
        thread::sleep(4 * SECOND);
    });
}
