//! What every HTTP reply tells beside its body: the store's time, and the status behind an error.

use std::cell::Cell;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use parking_lot::Mutex;

tokio::task_local! {
    static LAST_STATUS: Cell<Option<u16>>;
}

/// The newest `Date` of all replies. It never goes back.
#[derive(Debug, Default)]
pub(crate) struct StoreClock {
    newest_ms: AtomicI64,
}

impl StoreClock {
    /// `None` before the first reply.
    pub(crate) fn newest_ms(&self) -> Option<i64> {
        Some(self.newest_ms.load(Ordering::Relaxed)).filter(|newest_ms| *newest_ms != 0)
    }

    fn observe(&self, date: &str) {
        if let Some(date_ms) = http_date_ms(date) {
            self.newest_ms.fetch_max(date_ms, Ordering::Relaxed);
        }
    }
}

/// An error together with the HTTP status of the last reply, if there was one.
pub(crate) struct Failed {
    pub(crate) error: object_store::Error,
    pub(crate) status: Option<u16>,
}

/// Runs one operation and keeps the status of its last reply.
pub(crate) async fn observed<T>(operation: impl Future<Output = object_store::Result<T>>) -> Result<T, Failed> {
    LAST_STATUS
        .scope(Cell::new(None), async {
            operation.await.map_err(|error| Failed { error, status: LAST_STATUS.with(Cell::get) })
        })
        .await
}

/// Makes HTTP clients whose replies are observed, and keeps the newest so that two stores can share its connections.
#[derive(Clone, Debug)]
pub(crate) struct ObservingConnector {
    clock: Arc<StoreClock>,
    newest: Arc<Mutex<Option<HttpClient>>>,
}

impl ObservingConnector {
    pub(crate) fn new(clock: &Arc<StoreClock>) -> ObservingConnector {
        ObservingConnector { clock: Arc::clone(clock), newest: Arc::default() }
    }

    /// A connector that hands out the client that was made last, when there is one.
    pub(crate) fn sharing(&self) -> SharingConnector {
        SharingConnector(self.clone())
    }
}

impl HttpConnector for ObservingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        let observed = HttpClient::new(ObservedService { client, clock: Arc::clone(&self.clock) });
        *self.newest.lock() = Some(observed.clone());
        Ok(observed)
    }
}

/// See [`ObservingConnector::sharing`].
#[derive(Debug)]
pub(crate) struct SharingConnector(ObservingConnector);

impl HttpConnector for SharingConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let newest = self.0.newest.lock().clone();
        newest.map_or_else(|| self.0.connect(options), Ok)
    }
}

#[derive(Debug)]
struct ObservedService {
    client: HttpClient,
    clock: Arc<StoreClock>,
}

#[async_trait]
impl HttpService for ObservedService {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // Outside of an operation (fetching credentials) nobody asks for the status.
        let note = |status| {
            let _outside = LAST_STATUS.try_with(|last| last.set(status));
        };
        note(None);
        let response = self.client.execute(request).await?;
        note(Some(response.status().as_u16()));
        if let Some(date) = response.headers().get("date").and_then(|date| date.to_str().ok()) {
            self.clock.observe(date);
        }
        Ok(response)
    }
}

/// Reads the form that RFC 9110 section 5.6.7 prescribes: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn http_date_ms(date: &str) -> Option<i64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut parts = date.split_once(", ")?.1.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let month_name = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month_name)? as i64 + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut time = parts.next()?.split(':').map(str::parse::<i64>);
    let (hour, minute, second) = (time.next()?.ok()?, time.next()?.ok()?, time.next()?.ok()?);
    let in_range = (1..=31).contains(&day)
        && (1970..=9999).contains(&year)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !in_range || parts.next() != Some("GMT") || parts.next().is_some() || time.next().is_some() {
        return None;
    }
    Some((((days_since_1970(year, month, day) * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

/// Counts from a year that begins in March, so that the leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_dates_are_read() {
        assert_eq!(http_date_ms("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777_000));
        assert_eq!(http_date_ms("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(http_date_ms("Thu, 29 Feb 2024 23:59:59 GMT"), Some(1_709_251_199_000));
        for bad in [
            "",
            "Sun",
            "Sun, 06 Nov 1994",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 CET",
            "Sun, 99 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT x",
        ] {
            assert_eq!(http_date_ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_clock_only_goes_forward() {
        let clock = StoreClock::default();
        assert_eq!(clock.newest_ms(), None);
        clock.observe("Sun, 06 Nov 1994 08:49:37 GMT");
        clock.observe("Sun, 06 Nov 1994 08:49:36 GMT");
        clock.observe("nonsense");
        assert_eq!(clock.newest_ms(), Some(784_111_777_000));
    }
}
