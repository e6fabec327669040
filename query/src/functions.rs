//! Functions for what topics hold: bytes that are text, JSON documents, headers.
//!
//! - `text(bytes)`: the bytes as text; null where they are not UTF-8.
//! - `json(document, path)`, or `document ->> path`: the member of a JSON document as text: a string without quotes, anything else
//!   as JSON. The path is the name of a member, or a JSON pointer such as `/customer/id`. Null where there is no such member, where
//!   it is null, and where the bytes are no JSON.
//! - `header(headers, name)`: the value of the last header of this name, as bytes.
//!
//! Invariant: whatever the bytes are, a function gives null and no error.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::builder::{BinaryBuilder, StringBuilder};
use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, ArrayRef, BinaryArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, exec_err, plan_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// The functions.
pub(crate) fn all() -> Vec<ScalarUDF> {
    [Function::Text, Function::Json, Function::Header].map(|function| ScalarUDF::from(Topical::new(function))).into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Function {
    Text,
    Json,
    Header,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Topical {
    function: Function,
    signature: Signature,
}

impl Topical {
    fn new(function: Function) -> Topical {
        let arguments = match function {
            Function::Text => 1,
            Function::Json | Function::Header => 2,
        };
        Topical { function, signature: Signature::any(arguments, Volatility::Immutable) }
    }
}

fn is_bytes(kind: &DataType) -> bool {
    kind.is_string() || kind.is_binary() || *kind == DataType::Null
}

impl ScalarUDFImpl for Topical {
    fn name(&self) -> &'static str {
        match self.function {
            Function::Text => "text",
            Function::Json => "json",
            Function::Header => "header",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match (self.function, arguments) {
            (Function::Text, [bytes]) if is_bytes(bytes) => Ok(DataType::Utf8),
            (Function::Json, [document, path]) if is_bytes(document) && is_bytes(path) => Ok(DataType::Utf8),
            (Function::Header, [DataType::List(_), name]) if is_bytes(name) => Ok(DataType::Binary),
            (Function::Text, _) => plan_err!("text takes bytes, such as text(value)"),
            (Function::Json, _) => plan_err!("json takes bytes and a path, such as json(value, 'customer')"),
            (Function::Header, _) => plan_err!("header takes headers and a name, such as header(headers, 'trace')"),
        }
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&arguments.args)?;
        let result: ArrayRef = match (self.function, arrays.as_slice()) {
            (Function::Text, [values]) => Arc::new(text(&bytes_of(values)?)),
            (Function::Json, [documents, paths]) => Arc::new(json(&bytes_of(documents)?, &bytes_of(paths)?)),
            (Function::Header, [headers, names]) => header(headers, &bytes_of(names)?)?,
            _ => return exec_err!("{} has other arguments than were planned", self.name()),
        };
        let is_scalar = arguments.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        if is_scalar {
            let value = datafusion::scalar::ScalarValue::try_from_array(&result, 0)?;
            return Ok(ColumnarValue::Scalar(value));
        }
        Ok(ColumnarValue::Array(result))
    }
}

fn bytes_of(values: &ArrayRef) -> Result<BinaryArray> {
    Ok(cast(values, &DataType::Binary)?.as_binary::<i32>().clone())
}

fn text(values: &BinaryArray) -> datafusion::arrow::array::StringArray {
    values.iter().map(|value| value.and_then(|value| std::str::from_utf8(value).ok())).collect()
}

fn json(documents: &BinaryArray, paths: &BinaryArray) -> datafusion::arrow::array::StringArray {
    let mut found = StringBuilder::with_capacity(documents.len(), 0);
    for (document, path) in documents.iter().zip(paths) {
        let path = path.and_then(|path| std::str::from_utf8(path).ok());
        let member = document.zip(path).and_then(|(document, path)| member(document, path));
        found.append_option(member);
    }
    found.finish()
}

fn member(document: &[u8], path: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    let pointer: Cow<'_, str> = if path.is_empty() || path.starts_with('/') {
        path.into()
    } else {
        format!("/{}", path.replace('~', "~0").replace('/', "~1")).into()
    };
    match document.pointer(&pointer)? {
        serde_json::Value::Null => None,
        serde_json::Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

fn header(headers: &ArrayRef, names: &BinaryArray) -> Result<ArrayRef> {
    let Some(lists) = headers.as_list_opt::<i32>() else { return exec_err!("headers are no list") };
    let Some(structs) = lists.values().as_struct_opt() else { return exec_err!("headers are no structs") };
    let (Some(keys), Some(values)) = (structs.column_by_name("name"), structs.column_by_name("value")) else {
        return exec_err!("headers have no name and value");
    };
    let (keys, values) = (bytes_of(keys)?, bytes_of(values)?);
    let mut found = BinaryBuilder::with_capacity(lists.len(), 0);
    for (row, ends) in lists.value_offsets().windows(2).enumerate() {
        // Offsets of a list column are checked to be positive and to count up.
        let range = ends[0] as usize..ends[1] as usize;
        let name = (lists.is_valid(row) && names.is_valid(row)).then(|| names.value(row));
        let position = name.and_then(|name| range.rev().find(|position| keys.value(*position) == name));
        let value = position.filter(|position| values.is_valid(*position)).map(|position| values.value(position));
        found.append_option(value);
    }
    Ok(Arc::new(found.finish()))
}

/// Makes `document ->> path` a call of `json`.
#[derive(Debug)]
pub(crate) struct Arrows;

impl ExprPlanner for Arrows {
    fn plan_binary_op(&self, expression: RawBinaryExpr, _: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        if !matches!(expression.op, BinaryOperator::LongArrow) {
            return Ok(PlannerResult::Original(expression));
        }
        let json = Arc::new(ScalarUDF::from(Topical::new(Function::Json)));
        let call = ScalarFunction::new_udf(json, vec![expression.left, expression.right]);
        Ok(PlannerResult::Planned(Expr::ScalarFunction(call)))
    }
}

#[cfg(test)]
mod tests {
    use super::member;

    #[test]
    fn members_are_found_by_name_and_by_pointer() {
        let document = br#"{"a":"x","b":{"c":[1,2.5]},"d":null,"e/f":true,"":7}"#;
        for (path, expected) in [
            ("a", Some("x")),
            ("/a", Some("x")),
            ("b", Some(r#"{"c":[1,2.5]}"#)),
            ("/b/c/1", Some("2.5")),
            ("d", None),
            ("e/f", Some("true")),
            ("/e~1f", Some("true")),
            ("/", Some("7")),
            ("missing", None),
        ] {
            assert_eq!(member(document, path).as_deref(), expected, "{path}");
        }
        assert_eq!(member(b"not json", "a"), None);
        assert_eq!(member(b"\xff", "a"), None);
    }
}
