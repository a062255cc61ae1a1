//! Methods and traits of std, written once for every type with a [`Socket`](super::Socket) in its field 0.
//!
//! Macros and not a trait of our own: the methods are inherent in std, so they are here, and show in the docs of each type.

/// `Read` and `Write` for a type with the `Socket` in its field 0, and for references to it.
macro_rules! stream_traits {
    ($Type:ident) => {
        impl std::io::Read for $Type {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(buf)
            }

            fn read_vectored(
                &mut self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                self.0.read_vectored(bufs)
            }
        }

        impl std::io::Read for &$Type {
            fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
                self.0.read(buf)
            }

            fn read_vectored(
                &mut self,
                bufs: &mut [std::io::IoSliceMut<'_>],
            ) -> std::io::Result<usize> {
                self.0.read_vectored(bufs)
            }
        }

        impl std::io::Write for $Type {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.0.write(buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.0.write_vectored(bufs)
            }

            /// Does nothing: nothing is kept back.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }

        impl std::io::Write for &$Type {
            fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
                self.0.write(buf)
            }

            fn write_vectored(&mut self, bufs: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
                self.0.write_vectored(bufs)
            }

            /// Does nothing: nothing is kept back.
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
    };
}

/// The methods of std that every socket type has, for a type with the `Socket` in its field 0.
macro_rules! common_methods {
    ($noun:literal) => {
        /// A second handle to the same socket; options and what arrives are shared.
        ///
        /// # Errors
        /// The system's, such as too many open files.
        pub fn try_clone(&self) -> std::io::Result<Self> {
            self.0.try_clone().map(Self)
        }

        /// The error that happened on the socket in the background, if any; asking clears it.
        ///
        /// # Errors
        /// The system's.
        pub fn take_error(&self) -> std::io::Result<Option<std::io::Error>> {
            self.0.take_error()
        }

        /// With `true`, whatever would wait fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock) instead.
        ///
        /// Default: `false`. Not needed for green threads: they wait without blocking anybody else.
        ///
        /// # Errors
        /// The system's.
        pub fn set_nonblocking(&self, nonblocking: bool) -> std::io::Result<()> {
            self.0.set_nonblocking(nonblocking)
        }

        #[doc = concat!("Ends the use of this ", $noun, " now, whoever still holds it. Beyond std.")]
        ///
        /// Every thread that waits in a call on this handle gets the error EBADF, and so does every later call.
        /// The connection, if there is one, is shut down in both directions, which clones see as its end. The
        /// descriptor itself is released when the last owner drops it, so its number cannot mean something else
        /// meanwhile.
        pub fn close(&self) {
            self.0.close();
        }
    };
}

/// Time-outs, for a type with the `Socket` in its field 0.
macro_rules! timeout_methods {
    () => {
        /// How long a read may wait; `None` (the default) is for ever.
        ///
        /// A read that takes longer fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock), as with std on Unix.
        ///
        /// # Errors
        /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a duration of zero.
        pub fn set_read_timeout(
            &self,
            timeout: Option<std::time::Duration>,
        ) -> std::io::Result<()> {
            self.0.set_read_timeout(timeout)
        }

        /// How long a write may wait; `None` (the default) is for ever.
        ///
        /// A write that takes longer fails with [`WouldBlock`](std::io::ErrorKind::WouldBlock), as with std on Unix.
        ///
        /// # Errors
        /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) for a duration of zero.
        pub fn set_write_timeout(
            &self,
            timeout: Option<std::time::Duration>,
        ) -> std::io::Result<()> {
            self.0.set_write_timeout(timeout)
        }

        /// What [`set_read_timeout`](Self::set_read_timeout) set.
        ///
        /// # Errors
        /// None here; the signature is std's.
        pub fn read_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
            Ok(self.0.read_timeout())
        }

        /// What [`set_write_timeout`](Self::set_write_timeout) set.
        ///
        /// # Errors
        /// None here; the signature is std's.
        pub fn write_timeout(&self) -> std::io::Result<Option<std::time::Duration>> {
            Ok(self.0.write_timeout())
        }
    };
}

/// The descriptor traits of std, and the way to std's own type and back, for a type with the `Socket` in its
/// field 0. The file that uses it holds an `unsafe fn`, as `FromRawFd` has one.
macro_rules! descriptor_traits {
    ($Type:ident, $Std:ty) => {
        impl std::os::fd::AsFd for $Type {
            fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
                self.0.as_fd()
            }
        }

        impl std::os::fd::AsRawFd for $Type {
            fn as_raw_fd(&self) -> std::os::fd::RawFd {
                std::os::fd::AsRawFd::as_raw_fd(self.0.descriptor())
            }
        }

        impl std::os::fd::IntoRawFd for $Type {
            fn into_raw_fd(self) -> std::os::fd::RawFd {
                std::os::fd::OwnedFd::from(self).into_raw_fd()
            }
        }

        impl std::os::fd::FromRawFd for $Type {
            unsafe fn from_raw_fd(fd: std::os::fd::RawFd) -> Self {
                // SAFETY: the caller promises what `OwnedFd::from_raw_fd` asks for: `fd` is open and theirs to give.
                Self::from(unsafe { std::os::fd::OwnedFd::from_raw_fd(fd) })
            }
        }

        impl From<std::os::fd::OwnedFd> for $Type {
            fn from(fd: std::os::fd::OwnedFd) -> Self {
                Self(crate::socket::Socket::adopt(fd))
            }
        }

        impl From<$Type> for std::os::fd::OwnedFd {
            fn from(socket: $Type) -> Self {
                socket.0.into()
            }
        }

        #[allow(clippy::disallowed_types, reason = "only handed over, never called")]
        impl From<$Std> for $Type {
            fn from(socket: $Std) -> Self {
                std::os::fd::OwnedFd::from(socket).into()
            }
        }

        #[allow(clippy::disallowed_types, reason = "only handed over, never called")]
        impl From<$Type> for $Std {
            fn from(socket: $Type) -> Self {
                std::os::fd::OwnedFd::from(socket).into()
            }
        }
    };
}

pub(crate) use {common_methods, descriptor_traits, stream_traits, timeout_methods};
