//! [`Problem`]: what is wrong with a request, as JSON: `{"error":{"code":..,"message":..,"field":..}}`.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::fmt;

use serde_json::json;

use crate::http::{Error, IntoResponse, Response, StatusCode};

/// A request that is not done, and why. The code is for programs, the message for people; the field is the one to mend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    field: Option<Cow<'static, str>>,
}

impl Problem {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem { status, code, message: message.into(), field: None }
    }

    /// 400, about one field.
    pub(crate) fn field(
        field: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Problem {
        Problem {
            field: Some(field.into()),
            ..Problem::new(StatusCode::BAD_REQUEST, "invalid", message)
        }
    }

    /// 400, about the body as a whole.
    pub(crate) fn malformed(message: impl Into<Cow<'static, str>>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "malformed", message)
    }

    pub(crate) fn with_status(self, status: StatusCode) -> Problem {
        Problem { status, ..self }
    }

    /// As it is sent.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(field) = &self.field {
            error["field"] = json!(field);
        }
        json!({ "error": error }).to_string().into_bytes()
    }
}

/// What the server says of a request: its body is too long, came too slowly, was cut off.
impl From<Error> for Problem {
    fn from(error: Error) -> Problem {
        let code = match error.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::REQUEST_TIMEOUT => "too_slow",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::CONFLICT => "conflict",
            status if status.is_client_error() => "malformed",
            _ => "internal",
        };
        Problem::new(error.status(), code, error.to_string())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let response = Response::new(self.status).body(self.to_json());
        response.header("content-type", "application/json").header("cache-control", "no-store")
    }
}
