#include "cli/cp.h"

#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/json_writer.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/progress.h"
#include "cli/remote.h"
#include "cli/report.h"
#include "pack/copy.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Code;
using base::Error;
using base::Result;

constexpr std::string_view kLayoutPrefix = "oci-layout:";

// "oci-layout:DIR", "oci-layout:DIR:TAG", "oci-layout:DIR@DIGEST".
struct LayoutPlace {
  std::string directory;
  std::string name;  // a tag or a digest; empty: none
};

Error no_place(const std::string& text) {
  return Error(Code::kInvalid, "an artifact is copied between registries and image layouts")
      .in_file(base::printable(text, 1024))
      .with_hint(
          "They are written oci://host/repository:tag and oci-layout:DIR:tag; `weighbridge pull` "
          "and `push` bring a model into the store and out of it.");
}

Result<LayoutPlace> parse_layout(const std::string& text) {
  LayoutPlace place{text.substr(kLayoutPrefix.size()), {}};
  std::size_t mark = place.directory.rfind('@');
  if (mark == std::string::npos) {
    mark = place.directory.rfind(':');
  }
  // A ':' before the last '/' is part of a directory's name.
  if (mark != std::string::npos && place.directory.find('/', mark) == std::string::npos) {
    place.name = place.directory.substr(mark + 1);
    place.directory.resize(mark);
  }
  if (place.directory.empty()) {
    return no_place(text);
  }
  return place;
}

Result<std::unique_ptr<pack::CopySource>> open_source(const Environment& environment,
                                                      const std::string& text) {
  if (text.starts_with(kLayoutPrefix)) {
    const LayoutPlace place = TRY(parse_layout(text));
    return pack::copy_from_layout(environment.files, place.directory, place.name);
  }
  if (!is_remote(text)) {
    return no_place(text);
  }
  const Remote remote = TRY(open_remote(environment, text));
  return pack::copy_from_registry(*remote.client, remote.reference);
}

struct Told {
  std::string to;
  pack::Copied copied;
  base::Duration took{};
};

Result<pack::Copied> copy_to(const Call& call,
                             const Environment& environment,
                             pack::CopySource& from,
                             const std::string& text,
                             transfer::Progress& progress) {
  if (text.starts_with(kLayoutPrefix)) {
    const LayoutPlace place = TRY(parse_layout(text));
    auto layout = TRY(pack::ImageLayout::open_or_create(environment.files, place.directory));
    return pack::copy_to_layout(call, from, layout, place.name, progress);
  }
  if (!is_remote(text)) {
    return no_place(text);
  }
  const Remote remote = TRY(open_remote(environment, text));
  if (remote.reference.digest) {
    return Error(Code::kInvalid, "a copy is given a tag, and keeps its digest")
        .in_file(remote.text());
  }
  return pack::copy_to_registry(call, from, *remote.client, remote.reference, progress);
}

std::string as_json(const Told& told) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("to");
  json.text(told.to);
  json.key("digest");
  json.text(told.copied.digest.text());
  json.key("blobs");
  json.number(told.copied.blobs);
  json.key("bytes");
  json.number(told.copied.bytes);
  json.key("sent_bytes");
  json.number(told.copied.sent_bytes);
  json.key("seconds");
  json.decimal(seconds(told.took));
  json.end_object();
  return text + "\n";
}

std::string for_people(const Told& told) {
  return fmt::format("copied {}, {}, of which {} sent\n  to {}\n  digest {}\n",
                     counted(told.copied.blobs, "blob"),
                     bytes_in(told.copied.bytes, told.took),
                     base::format_bytes(told.copied.sent_bytes),
                     base::printable(told.to, 1024),
                     told.copied.digest.text());
}

}  // namespace

std::string_view CpCommand::example() const {
  return "Example:\n"
         "  weighbridge cp oci://one.example/org/qwen:v1 oci://two.example/org/qwen:v1\n"
         "  weighbridge cp oci-layout:./qwen-layout:v1 oci://registry.example/org/qwen:v1\n"
         "What is there is not sent again, and within a registry blobs are mounted.";
}

void CpCommand::declare(CLI::App& app) {
  app.add_option("FROM", from_, "oci://host/repository:tag or oci-layout:DIR:TAG")->required();
  app.add_option("TO", to_, "The same; the tag is moved")->required();
}

Result<void> CpCommand::run(const Call& call, const Environment& environment, Style style) {
  const base::TimePoint began = call.clock().now();
  const auto from = TRY(open_source(environment, from_));
  transfer::Progress progress;
  const auto copy = [&] {
    const ProgressDisplay display(call.clock(), "copying", progress, environment.err, style);
    return copy_to(call, environment, *from, to_, progress);
  };
  const pack::Copied copied = TRY(copy());
  const Told told{to_, copied, call.clock().now() - began};
  return environment.out.write(style.json ? as_json(told) : for_people(told));
}

}  // namespace weighbridge::cli
