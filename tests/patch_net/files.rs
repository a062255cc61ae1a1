//! Regular files: left alone, unless the group `files` sends reads to the pool.

use std::fs::File;
use std::io::{IoSliceMut, Read, Write};
use std::os::unix::fs::FileExt;

use super::*;

fn temporary() -> (std::path::PathBuf, File) {
    let path = std::env::temp_dir().join(format!("sward-files-{}", std::process::id()));
    std::fs::write(&path, b"once upon a time").unwrap();
    let file = File::open(&path).unwrap();
    (path, file)
}

#[test]
fn left_alone() {
    alone("files::left_alone", || {
        let (path, mut file) = temporary();
        let mut buf = [0; 4];
        at_once(|| {
            file.read_exact(&mut buf).unwrap();
            File::create(&path).unwrap().write_all(b"x").unwrap();
        });
        assert_eq!(&buf, b"once");
        std::fs::remove_file(path).unwrap();
    });
}

#[test]
fn reads_on_the_pool() {
    case("files::reads_on_the_pool", LIMIT, || {
        // SAFETY: this test keeps the contract.
        unsafe { sward::patch::Builder::new().files(true).install() }.unwrap();
        sward::Builder::new().workers(1).run(|| {
            let (path, mut file) = temporary();
            let (mut one, mut two, mut three) = ([0; 4], [0; 1], [0; 4]);
            cooperative(|| {
                (0..200).for_each(|_| {
                    assert_eq!(read(file.as_raw_fd(), &mut []), Ok(0));
                    std::io::Seek::rewind(&mut file).unwrap();
                    file.read_exact(&mut one).unwrap();
                })
            });
            let n =
                file.read_vectored(&mut [IoSliceMut::new(&mut two), IoSliceMut::new(&mut three)]);
            assert_eq!((n.unwrap(), &one, &two, &three), (5, b"once", b" ", b"upon"));
            let directory = File::open("/").unwrap();
            assert_eq!(
                cooperative(|| {
                    (0..200)
                        .for_each(|_| assert!(read(directory.as_raw_fd(), &mut [0; 8]).is_err()));
                    read(directory.as_raw_fd(), &mut [0; 8])
                }),
                Err(libc::EISDIR)
            );
            let mut buf = [0; 4];
            cooperative(|| {
                (0..200).for_each(|_| file.read_exact_at(&mut buf, 5).unwrap());
            });
            assert_eq!(&buf, b"upon");
            std::fs::remove_file(path).unwrap();
        });
    });
}
