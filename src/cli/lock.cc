#include "cli/lock.h"

#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "cli/lock_file.h"
#include "cli/report.h"
#include "formats/lock.h"
#include "model/ref.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

// What the Ref was when it was last pulled.
Result<formats::LockEntry> entry_of(const store::Refs& refs, const std::string& text) {
  const model::Ref ref = TRY(model::Ref::parse(text));
  const auto record = TRY(refs.find(ref));
  if (!record || !record->content_id) {
    return Error(Code::kNotFound, ref.printable() + " was not pulled here")
        .in_file(ref.printable())
        .with_hint("`weighbridge pull REF` first: what was pulled is locked.");
  }
  return formats::LockEntry{ref.text(), *record->content_id, record->seal_sha256};
}

std::string as_json(const std::string& file, const std::vector<formats::LockEntry>& locked) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("file");
  json.text(file);
  json.key("locked");
  json.begin_array();
  for (const formats::LockEntry& entry : locked) {
    json.begin_object();
    json.key("ref");
    json.text(entry.ref);
    json.key("content_id");
    json.text(entry.content_id.hex());
    json.key("seal_sha256");
    if (entry.seal_sha256) {
      json.text(entry.seal_sha256->hex());
    } else {
      json.null();
    }
    json.end_object();
  }
  json.end_array();
  json.end_object();
  return text + "\n";
}

}  // namespace

std::string_view LockCommand::example() const {
  return "Example:\n"
         "  weighbridge lock https://models.example/qwen/\n"
         "  weighbridge pull https://models.example/qwen/ --locked\n"
         "What each REF was when it was last pulled goes to weighbridge.lock; entries of other\n"
         "REFs stay. It belongs under version control.";
}

void LockCommand::declare(CLI::App& app) {
  app.add_option("REF", refs_, "What was pulled")->required();
  app.add_option("--file", file_, "Instead of ./weighbridge.lock")->type_name("FILE");
}

Result<void> LockCommand::run(const Call& call, const Environment& environment, Style style) {
  TRY(call.check());
  const std::string path = file_.empty() ? std::string(formats::kLockName) : file_;
  const auto store = environment.find_store ? TRY(environment.find_store({})) : nullptr;
  if (store == nullptr) {
    return Error(Code::kNotFound, "there is no store on this machine yet")
        .with_hint("`weighbridge pull` makes one.");
  }
  auto before = read_lock(environment.files, path);
  if (!before.ok() && before.error().code() != Code::kNotFound) {
    return std::move(before).error();
  }
  formats::Lock lock = before.ok() ? std::move(before).value() : formats::Lock();
  std::vector<formats::LockEntry> locked;
  for (const std::string& ref : refs_) {
    locked.push_back(TRY(entry_of(store->refs(), ref)));
    lock.put(locked.back());
  }
  TRY(io::write_file_atomically(environment.files, path, TRY(formats::write_lock(lock))));
  if (style.json) {
    return environment.out.write(as_json(path, locked));
  }
  return environment.out.write(
      fmt::format("locked {} in {}\n", counted(locked.size(), "reference"), path));
}

}  // namespace weighbridge::cli
