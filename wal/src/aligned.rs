//! Bytes in memory at an address from which a device can read by itself.
//!
//! What always holds: after [`Aligned::begin`] the bytes start at a multiple of [`ALIGN`], and they stay
//! there until they outgrow the memory; then they lie anywhere, which costs speed and nothing else, until
//! the next `begin`.

/// The largest alignment that a device asks for.
pub(crate) const ALIGN: usize = 4096;

/// A growing buffer that is used again and again.
#[derive(Debug, Default)]
pub(crate) struct Aligned {
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    /// So many zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut zeros = Self { bytes: Vec::with_capacity(len.saturating_add(ALIGN)), start: 0 };
        zeros.begin();
        zeros.resize(len, 0);
        zeros
    }

    /// Forget the bytes.
    pub(crate) fn begin(&mut self) {
        self.bytes.clear();
        self.bytes.reserve(ALIGN);
        // Where no alignment can be had, any place will do.
        self.start =
            Some(self.bytes.as_ptr().align_offset(ALIGN)).filter(|&n| n < ALIGN).unwrap_or(0);
        self.bytes.resize(self.start, 0);
    }

    pub(crate) const fn len(&self) -> usize {
        self.bytes.len().saturating_sub(self.start)
    }

    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn resize(&mut self, len: usize, value: u8) {
        self.bytes.resize(self.start.saturating_add(len), value);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_put_in_and_aligned_from_the_second_time_on() {
        let mut aligned = Aligned::default();
        for round in 0..3 {
            aligned.begin();
            assert_eq!(aligned.len(), 0);
            aligned.extend(&[7; 100]);
            aligned.as_mut_slice()[3] = 9;
            aligned.extend(&[8; 50_000]);
            aligned.resize(60_000, 6);
            let bytes = aligned.as_slice();
            assert_eq!((aligned.len(), bytes.len()), (60_000, 60_000));
            assert_eq!((bytes[2], bytes[3], bytes[100], bytes[59_999]), (7, 9, 8, 6));
            assert!(round == 0 || bytes.as_ptr().addr().is_multiple_of(ALIGN));
        }
        let zeros = Aligned::zeros(1 << 20);
        assert!(zeros.as_slice().as_ptr().addr().is_multiple_of(ALIGN));
        assert_eq!(zeros.as_slice(), vec![0; 1 << 20]);
    }
}
