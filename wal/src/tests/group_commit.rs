//! The writer thread.

use std::sync::mpsc::sync_channel;

use tempfile::tempdir;

use super::{append, entries, fresh, reopen, small};
use crate::{Busy, Options, TailVerdict, Writer};

#[test]
fn every_ticket_becomes_durable_in_order() {
    let dir = tempdir().unwrap();
    let (log, _) = fresh(dir.path(), &small());
    let (sender, receiver) = sync_channel(4096);
    let tell = move |result: Result<u64, _>| sender.send(result.unwrap()).unwrap();
    let writer = Writer::spawn(log, Box::new(tell)).unwrap();
    let reader = writer.reader();
    let (mut told, mut calls) = (0, 0);
    for ticket in 1..=2000 {
        let mut op = append(ticket..=ticket, 1, 128);
        while let Err(Busy(back)) = writer.submit(ticket, op) {
            op = back;
            let newest = receiver.recv().unwrap();
            assert!(newest > told);
            told = newest;
            calls += 1;
        }
        assert_eq!(reader.bounds(), (1, ticket), "readers see it at once");
    }
    while told < 2000 {
        let newest = receiver.recv().unwrap();
        assert!(newest > told);
        told = newest;
        calls += 1;
    }
    assert!(calls < 2000, "some shared a sync");
    writer.stop().unwrap();
    let (log, recovery) = reopen(dir.path(), &small());
    assert_eq!(recovery.tail, TailVerdict::Stopped);
    assert_eq!(log.reader().read(1, 2000, usize::MAX).unwrap(), entries(1..=2000, 1, 128));
}

#[test]
fn the_line_is_bounded_in_bytes() {
    let dir = tempdir().unwrap();
    let options = Options { queue_bytes_max: 4096, ..small() };
    let (log, _) = fresh(dir.path(), &options);
    // The writer stands still in `on_durable` until it may go on.
    let (entered, enter) = sync_channel(16);
    let (go, gone) = sync_channel::<()>(16);
    let hold = move |_| {
        entered.send(()).unwrap();
        gone.recv().unwrap_or(());
    };
    let writer = Writer::spawn(log, Box::new(hold)).unwrap();
    writer.submit(1, append(1..=1, 1, 16)).unwrap();
    enter.recv().unwrap();
    // A frame of 1024 bytes four times, to the bound.
    for ticket in 2..=5 {
        writer.submit(ticket, append(ticket..=ticket, 1, 992)).unwrap();
    }
    assert_eq!(writer.queued_bytes(), 4096);
    let op = append(6..=6, 1, 0);
    assert_eq!(writer.submit(6, op.clone()), Err(Busy(op.clone())));
    go.send(()).unwrap();
    enter.recv().unwrap();
    assert_eq!(writer.queued_bytes(), 0);
    writer.submit(6, op).unwrap();
    drop(go);
    writer.stop().unwrap();
    let (_log, recovery) = reopen(dir.path(), &options);
    assert_eq!(recovery.last, (6, 1));
}

#[test]
fn an_empty_line_takes_an_operation_of_any_size() {
    let dir = tempdir().unwrap();
    let options = Options { queue_bytes_max: 4096, ..small() };
    let (log, _) = fresh(dir.path(), &options);
    let writer = Writer::spawn(log, Box::new(|_| ())).unwrap();
    writer.submit(1, append(1..=100, 1, 1000)).unwrap();
    writer.stop().unwrap();
    let (log, _) = reopen(dir.path(), &options);
    assert_eq!(log.reader().read(1, 100, usize::MAX).unwrap(), entries(1..=100, 1, 1000));
}
