//! A secret `x` can be given as `x_file`, the path of a file that holds it.

use std::path::{Path, PathBuf};

use figment::Figment;
use figment::value::Value;

use super::error::Problem;
use super::layers::{BUILT_IN, Layer};
use super::{keys, origin};

/// What is added to the name of a secret to name its file.
pub(super) const SUFFIX: &str = "_file";

/// Reads the files of all secrets given in that way: one layer a file.
pub(super) fn layers(merged: &Figment, problems: &mut Vec<Problem>) -> Vec<Layer> {
    let mut layers = Vec::new();
    for key in keys::KEYS.iter().filter(|key| key.secret) {
        match layer(merged, &key.name) {
            Ok(layer) => layers.extend(layer),
            Err(problem) => problems.push(problem),
        }
    }
    layers
}

fn layer(merged: &Figment, name: &str) -> Result<Option<Layer>, Problem> {
    let file_key = format!("{name}{SUFFIX}");
    let Ok(given) = merged.find_value(&file_key) else {
        return Ok(None);
    };
    let Some(path) = given.as_str() else {
        return Err(keys::find(&file_key).map_or_else(
            || Problem::new(&file_key, format!("{file_key} is not a path")),
            |key| Problem::wrong_value(key, &given, &origin(merged, &file_key)),
        ));
    };
    if path.is_empty() {
        return Ok(None);
    }
    if is_given(merged, name) {
        return Err(Problem::new(
            name,
            format!(
                "{name} ({}) and {file_key} ({}) are both set; set one of them, and the other to nothing",
                origin(merged, name),
                origin(merged, &file_key)
            ),
        ));
    }
    let path = PathBuf::from(path);
    let text = read(&file_key, &path, &origin(merged, &file_key))?;
    Ok(Some(Layer::secret_file(
        name,
        path,
        secret(merged, name, &text),
    )))
}

/// Whether a secret was set by somebody: not by the built-in defaults, and not to nothing.
fn is_given(merged: &Figment, name: &str) -> bool {
    let Ok(value) = merged.find_value(name) else {
        return false;
    };
    let nothing = value.as_str().is_some_and(str::is_empty)
        || value.as_array().is_some_and(<[Value]>::is_empty);
    !nothing && origin(merged, name) != BUILT_IN
}

fn read(file_key: &str, path: &Path, origin: &str) -> Result<String, Problem> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Problem::new(
            file_key,
            format!("{file_key} ({origin}): cannot read the file {shown}: {error}"),
        )
    })?;
    if text.trim().is_empty() {
        return Err(Problem::new(
            file_key,
            format!("{file_key} ({origin}): the file {shown} is empty; write the secret into it"),
        ));
    }
    Ok(text)
}

/// The secret in a file: a list where a list is the default, one item a line or separated by commas.
fn secret(merged: &Figment, name: &str, text: &str) -> Value {
    let is_list = merged
        .find_value(name)
        .is_ok_and(|value| value.as_array().is_some());
    if !is_list {
        return Value::from(text.trim_end_matches(['\r', '\n']));
    }
    let items = text
        .split(['\n', ','])
        .map(str::trim)
        .filter(|item| !item.is_empty());
    Value::from(items.map(Value::from).collect::<Vec<_>>())
}
