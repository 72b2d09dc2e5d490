#include "cli/pull_report.h"

#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/report.h"
#include "model/proof.h"

namespace weighbridge::cli {
namespace {

void paths(base::JsonWriter& json, std::string_view key, const std::vector<std::string>& paths) {
  json.key(key);
  json.begin_array();
  for (const std::string& path : paths) {
    json.text(path);
  }
  json.end_array();
}

}  // namespace

std::string pull_json(const PullReport& report) {
  const transfer::Pulled& pulled = report.pulled;
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(report.ref);
  json.key("directory");
  json.text(pulled.directory);
  json.key("content_id");
  json.text(pulled.content_id.hex());
  json.key("seal_sha256");
  if (pulled.seal_sha256) {
    json.text(pulled.seal_sha256->hex());
  } else {
    json.null();
  }
  json.key("proof");
  json.text(model::name_of(pulled.trust));
  json.key("files");
  json.number(pulled.files);
  json.key("bytes");
  json.number(pulled.bytes);
  json.key("fetched_bytes");
  json.number(pulled.fetched_bytes);
  json.key("copied_bytes");
  json.number(pulled.copied_bytes);
  json.key("present_bytes");
  json.number(pulled.present_bytes);
  paths(json, "removed", report.removed);
  paths(json, "left", report.left);
  json.key("seconds");
  json.decimal(seconds(report.took));
  json.end_object();
  return text + "\n";
}

std::string pull_text(const PullReport& report) {
  const transfer::Pulled& pulled = report.pulled;
  std::string text = fmt::format("pulled {}, {}: {} fetched, {} copied, {} were there\n",
                                 counted(pulled.files, "file"),
                                 bytes_in(pulled.bytes, report.took),
                                 base::format_bytes(pulled.fetched_bytes),
                                 base::format_bytes(pulled.copied_bytes),
                                 base::format_bytes(pulled.present_bytes));
  if (pulled.trust == model::Trust::kFirstSeen) {
    text += "  not verified: nobody vouches for some of these bytes (first-seen)\n";
  }
  for (const std::string& path : report.removed) {
    text += fmt::format("  removed {}: this revision lacks it\n", base::printable(path));
  }
  for (const std::string& path : report.left) {
    text += fmt::format("  left {}: this revision lacks it, and it was changed here\n",
                        base::printable(path));
  }
  return text;
}

}  // namespace weighbridge::cli
