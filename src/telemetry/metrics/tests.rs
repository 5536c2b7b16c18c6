#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::time::Duration;

use super::*;
use crate::config::Durability;

const TYPES: [&str; 2] = ["comment", "unknown"];

/// What Prometheus reads after these metrics were used.
fn rendered(used: impl FnOnce()) -> String {
    let recorder = builder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        describe();
        used();
    });
    recorder.handle().render()
}

fn assert_line(text: &str, line: &str) {
    assert!(
        text.lines().any(|found| found == line),
        "no line {line}\n{text}"
    );
}

#[test]
fn every_name_is_there_from_the_start_with_its_help() {
    let text = rendered(|| {
        register(&TYPES);
        QueueMetrics::new(JOURNAL).sampled(0, Duration::ZERO);
        StreamMetrics::new("INSTAGRAM_EVENTS").sampled(0, 0);
        set_durability(Durability::Fsync);
        let _ = actor_restarts("receiver");
    });
    for (name, kind, _, help) in ALL {
        let kind = format!("{kind:?}").to_lowercase();
        assert_line(&text, &format!("# TYPE {name} {kind}"));
        assert_line(&text, &format!("# HELP {name} {help}"));
    }
}

#[test]
fn the_names_are_those_of_the_contract() {
    let names: Vec<&str> = ALL.iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        names,
        [
            "instagram_webhook_deliveries_total",
            "instagram_webhook_events_received_total",
            "instagram_webhook_duplicates_total",
            "instagram_webhook_processing_duration_seconds",
            "instagram_webhook_end_to_end_duration_seconds",
            "instagram_webhook_accept_duration_seconds",
            "instagram_webhook_events_processed_total",
            "instagram_webhook_processing_failures_total",
            "instagram_webhook_retries_total",
            "instagram_webhook_dead_letters_total",
            "instagram_webhook_queue_depth",
            "instagram_webhook_oldest_pending_seconds",
            "instagram_ingest_durability_info",
            "instagram_stream_bytes",
            "instagram_stream_max_bytes",
            "instagram_actor_restarts_total",
            "instagram_retention_deleted_total",
            "instagram_retention_archive_failures_total",
            "instagram_build_info",
        ]
    );
}

#[test]
fn series_start_at_zero() {
    let text = rendered(|| register(&TYPES));
    for outcome in [
        "accepted",
        "invalid_signature",
        "malformed",
        "too_large",
        "unavailable",
        "overloaded",
        "ignored",
    ] {
        assert_line(
            &text,
            &format!("instagram_webhook_deliveries_total{{outcome=\"{outcome}\"}} 0"),
        );
    }
    for event_type in TYPES {
        for name in [
            EVENTS_RECEIVED,
            DUPLICATES,
            EVENTS_PROCESSED,
            RETRIES,
            DEAD_LETTERS,
        ] {
            assert_line(&text, &format!("{name}{{event_type=\"{event_type}\"}} 0"));
        }
        for name in [PROCESSING_DURATION, END_TO_END_DURATION] {
            assert_line(
                &text,
                &format!("{name}_count{{event_type=\"{event_type}\"}} 0"),
            );
        }
        for error in ErrorType::ALL {
            let labels = format!(
                "event_type=\"{event_type}\",error_type=\"{}\"",
                error.as_str()
            );
            assert_line(&text, &format!("{PROCESSING_FAILURES}{{{labels}}} 0"));
        }
    }
    assert_line(&text, "instagram_webhook_accept_duration_seconds_count 0");
    assert_line(
        &text,
        &format!(
            "instagram_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        ),
    );
}

#[test]
fn what_nobody_measured_is_not_there() {
    let text = rendered(|| register(&TYPES));
    for name in [QUEUE_DEPTH, OLDEST_PENDING, STREAM_BYTES, DURABILITY_INFO] {
        assert!(!text.contains(&format!("{name}{{")), "{text}");
    }
}

#[test]
fn durations_land_in_buckets() {
    let text = rendered(|| {
        let accept = AcceptMetrics::new();
        accept.finished(Outcome::Accepted, Duration::from_micros(90));
        accept.finished(Outcome::Accepted, Duration::from_millis(3));
        accept.finished(Outcome::TooLarge, Duration::from_secs(9));
        let comment = TypeMetrics::new("comment");
        comment.processing.record(Duration::from_millis(1));
        comment.end_to_end.record(Duration::from_mins(30));
    });
    assert_line(
        &text,
        "instagram_webhook_accept_duration_seconds_bucket{le=\"0.0001\"} 1",
    );
    assert_line(
        &text,
        "instagram_webhook_accept_duration_seconds_bucket{le=\"0.0025\"} 1",
    );
    assert_line(
        &text,
        "instagram_webhook_accept_duration_seconds_bucket{le=\"0.005\"} 2",
    );
    assert_line(&text, "instagram_webhook_accept_duration_seconds_count 2");
    assert_line(
        &text,
        "instagram_webhook_deliveries_total{outcome=\"accepted\"} 2",
    );
    assert_line(
        &text,
        "instagram_webhook_deliveries_total{outcome=\"too_large\"} 1",
    );
    let comment = "event_type=\"comment\"";
    assert_line(
        &text,
        &format!("{PROCESSING_DURATION}_bucket{{{comment},le=\"0.001\"}} 1"),
    );
    assert_line(
        &text,
        &format!("{END_TO_END_DURATION}_bucket{{{comment},le=\"900\"}} 0"),
    );
    assert_line(
        &text,
        &format!("{END_TO_END_DURATION}_bucket{{{comment},le=\"3600\"}} 1"),
    );
}

#[test]
fn counts_and_samples_carry_their_labels() {
    let text = rendered(|| {
        let seen = TypeMetrics::new("messaging_seen");
        seen.received.increment(7);
        seen.failed(ErrorType::Rejected);
        QueueMetrics::new(JOURNAL).sampled(12, Duration::from_millis(1500));
        StreamMetrics::new("INSTAGRAM_EVENTS").sampled(1024, 10_737_418_240);
        set_durability(Durability::File);
        actor_restarts("publisher").increment(1);
        retention_deleted(Retained::DeadLetter).increment(3);
    });
    for line in [
        "instagram_webhook_events_received_total{event_type=\"messaging_seen\"} 7",
        "instagram_webhook_processing_failures_total{event_type=\"messaging_seen\",error_type=\"rejected\"} 1",
        "instagram_webhook_queue_depth{event_type=\"journal\"} 12",
        "instagram_webhook_oldest_pending_seconds{event_type=\"journal\"} 1.5",
        "instagram_stream_bytes{stream=\"INSTAGRAM_EVENTS\"} 1024",
        "instagram_stream_max_bytes{stream=\"INSTAGRAM_EVENTS\"} 10737418240",
        "instagram_ingest_durability_info{level=\"file\"} 1",
        "instagram_actor_restarts_total{actor=\"publisher\"} 1",
        "instagram_retention_deleted_total{kind=\"dead_letter\"} 3",
    ] {
        assert_line(&text, line);
    }
}
