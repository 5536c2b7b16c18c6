//! What Prometheus reads.

/// One scrape.
#[derive(Debug)]
pub struct Metrics(String);

impl Metrics {
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The sum of the series of this name that have all of `labels`; none if there is none.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |line: &str| {
            let labelled =
                |(label, value): &(&str, &str)| line.contains(&format!("{label}=\"{value}\""));
            let rest = line.strip_prefix(name)?;
            let is_series = rest.starts_with(['{', ' ']) && labels.iter().all(labelled);
            let value = || line.rsplit(' ').next()?.parse::<f64>().ok();
            is_series.then(value).flatten()
        };
        self.0
            .lines()
            .filter_map(has)
            .reduce(|sum, value| sum + value)
    }

    /// The same as a whole number; 0 if there is none.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // counts, far below 2^52
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.find(name, labels).unwrap_or(0.0) as u64
    }

    /// Deliveries by outcome.
    pub fn deliveries(&self, outcome: &str) -> u64 {
        self.count(
            "instagram_webhook_deliveries_total",
            &[("outcome", outcome)],
        )
    }
}
