#include "cli/load.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "base/text.h"
#include "base/units.h"
#include "cli/explain.h"
#include "cli/open_ref.h"
#include "cli/progress.h"
#include "cli/report.h"
#include "cli/tensor_digests.h"
#include "loader/loader.h"
#include "model/tensor.h"

namespace weighbridge::cli {
namespace {

using base::Call;
using base::Result;
using model::Trust;

constexpr std::array kTrusts = {Trust::kPinned, Trust::kOrigin, Trust::kFirstSeen, Trust::kNone};

// Less than a few connections and slabs take is no bound that could be kept.
constexpr std::uint64_t kLeastMemoryBytes = 32 * base::kMiB;

// What is asked for.
struct Wish {
  std::string ref;
  loader::LoadOptions options;
  bool digests = false;
  bool offline = false;
};

// A finished load, as it is reported.
struct Loaded {
  std::string ref;
  std::optional<hash::Sha256Digest> seal_sha256;
  std::vector<loader::Tensor> tensors;  // none of a load in bounded memory
  loader::LoadReport report;
  base::Duration took{};
  std::optional<std::vector<TensorDigest>> digests;
  bool explained = false;  // asked for
};

// The most memory that stood at once, as the kernel counts it, or nothing where it does not say.
std::optional<std::uint64_t> peak_rss_bytes(io::FileSystem& files) {
  constexpr std::size_t kMaxStatusBytes = 16 * base::kKiB;
  constexpr std::string_view kField = "VmHWM:";
  const auto file = files.open("/proc/self/status");
  std::string status(kMaxStatusBytes, '\0');
  if (!file.ok()) {
    return std::nullopt;
  }
  const auto read = (*file)->read_at(0, std::as_writable_bytes(std::span(status)));
  status.resize(read.ok() ? *read : 0);
  const std::size_t field = status.find(kField);
  if (field == std::string::npos) {
    return std::nullopt;
  }
  std::string_view value = std::string_view(status).substr(field + kField.size());
  value = base::trim(value.substr(0, value.find("kB")));
  const auto kib = base::parse_decimal(value);
  return kib ? base::checked_multiply(*kib, base::kKiB) : std::nullopt;
}

// Takes all tensors. In bounded memory each is dropped once it has been seen, and hashed before if
// that is asked for; else they stay until the program ends.
Result<void> take_all(const Call& call, loader::Loader& loader, const Wish& wish, Loaded& loaded) {
  const bool bounded = wish.options.memory_bytes > 0;
  if (bounded && wish.digests) {
    loaded.digests = TRY(streamed_digests(call, loader));
    return {};
  }
  if (!bounded) {
    loaded.tensors.reserve(loader.index().tensor_count());
  }
  while (auto tensor = TRY(loader.next(call))) {
    if (!bounded) {
      loaded.tensors.push_back(std::move(*tensor));
    }
  }
  return {};
}

Result<Loaded> load(const Call& call,
                    const Environment& environment,
                    Style style,
                    const Wish& wish) {
  const base::TimePoint began = call.clock().now();
  const OpenedRef opened = TRY(open_ref_through_store(environment, wish.ref, wish.offline));
  const auto loader = TRY(loader::Loader::open(
      call, {*opened.source, environment.transfer, environment.pool}, opened.ref, wish.options));
  Loaded loaded;
  {
    const ProgressDisplay display(
        call.clock(), "loading", loader->progress(), environment.err, style);
    TRY(take_all(call, *loader, wish, loaded));
  }
  loaded.took = call.clock().now() - began;
  loaded.ref = opened.ref.printable();
  loaded.seal_sha256 = loader->index().snapshot().seal_sha256;
  loaded.report = loader->report();
  if (wish.digests && !loaded.digests) {
    loaded.digests = TRY(tensor_digests(call, loaded.tensors));
  }
  return loaded;
}

void digest_members(base::JsonWriter& json, const Loaded& loaded) {
  json.key("tensor_digests");
  json.begin_array();
  for (const TensorDigest& tensor : *loaded.digests) {
    json.begin_object();
    json.key("name");
    json.text(tensor.name);
    json.key("dtype");
    json.text(model::name_of(tensor.dtype));
    json.key("shape");
    shape(json, tensor.shape);
    json.key("bytes");
    json.number(tensor.bytes);
    json.key("sha256");
    json.text(tensor.sha256.hex());
    json.end_object();
  }
  json.end_array();
}

std::uint64_t proved_by(const Loaded& loaded, Trust trust) {
  const auto found = loaded.report.proof_bytes.find(trust);
  return found == loaded.report.proof_bytes.end() ? 0 : found->second;
}

std::string as_json(const Loaded& loaded, std::optional<std::uint64_t> peak_rss) {
  std::string text;
  base::JsonWriter json(text);
  json.begin_object();
  json.key("ref");
  json.text(loaded.ref);
  json.key("content_id");
  root_or_null(json, loaded.report.content_id);
  json.key("tensors");
  json.number(loaded.report.tensors);
  json.key("bytes");
  json.number(loaded.report.bytes);
  json.key("seconds");
  json.decimal(seconds(loaded.took));
  json.key("proof");
  json.begin_object();
  for (const Trust trust : kTrusts) {
    json.key(model::name_of(trust));
    json.number(proved_by(loaded, trust));
  }
  json.end_object();
  json.key("peak_rss_bytes");
  if (peak_rss) {
    json.number(*peak_rss);
  } else {
    json.null();
  }
  if (loaded.digests) {
    digest_members(json, loaded);
  }
  if (loaded.explained) {
    json.key("explain");
    explain_json(json, *loaded.report.transfer.explanation);
  }
  json.end_object();
  return text + "\n";
}

// What the proof is worth, and what would make it worth more.
std::string meaning_of(const Loaded& loaded, Trust trust) {
  switch (trust) {
    case Trust::kPinned:
      return "verified: every byte is what you pinned";
    case Trust::kOrigin:
      return loaded.seal_sha256
                 ? fmt::format(
                       "verified: every byte is what the seal beside the files says; to trust "
                       "nobody but yourself, pin it: #sha256={}",
                       loaded.seal_sha256->hex())
                 : "verified: every byte is what the digests say that its origin names";
    case Trust::kFirstSeen:
      return "not verified: nobody vouches for these bytes; they were hashed as they came "
             "(first-seen). `weighbridge seal DIR` where they are known to be right, or a pin "
             "(#sha256=, #blake3=), lets them be verified";
    case Trust::kNone:
      break;
  }
  return "not verified: nobody vouches for these bytes";
}

std::string for_people(const Loaded& loaded, std::optional<std::uint64_t> peak_rss) {
  std::string text = fmt::format("loaded {}, {}\n",
                                 counted(loaded.report.tensors, "tensor"),
                                 bytes_in(loaded.report.bytes, loaded.took));
  for (const Trust trust : kTrusts) {
    if (const std::uint64_t bytes = proved_by(loaded, trust); bytes > 0) {
      text += fmt::format("  {} {}\n", base::format_bytes(bytes), meaning_of(loaded, trust));
    }
  }
  if (loaded.report.content_id) {
    text += fmt::format("  content_id {}\n", loaded.report.content_id->hex());
  }
  if (peak_rss) {
    text += fmt::format("  peak memory {}\n", base::format_bytes(*peak_rss));
  }
  for (const TensorDigest& tensor : loaded.digests.value_or(std::vector<TensorDigest>())) {
    text += fmt::format("  sha256 {} {} [{}] {}\n",
                        tensor.sha256.hex(),
                        model::name_of(tensor.dtype),
                        fmt::join(tensor.shape, ", "),
                        base::printable(tensor.name));
  }
  if (loaded.explained) {
    text += explain_text(*loaded.report.transfer.explanation);
  }
  return text;
}

Result<std::uint64_t> memory_bytes(const std::string& text) {
  const auto bytes = base::parse_bytes(text);
  if (!bytes || *bytes < kLeastMemoryBytes) {
    return base::Error(base::Code::kInvalid,
                       fmt::format("--memory: a size of at least {} is expected",
                                   base::format_bytes(kLeastMemoryBytes)))
        .with_hint("For example --memory 256MiB; KiB, MiB, GiB and TiB are known.");
  }
  return *bytes;
}

}  // namespace

std::string_view LoadCommand::example() const {
  return "Example:\n"
         "  weighbridge load https://models.example/qwen/ --filter 'model.layers.0.*' --json\n"
         "  weighbridge load './qwen/#sha256=<SHA-256 of weighbridge.seal>'\n"
         "A tensor is wanted if one filter matches its name: `*` any text, `?` one character.";
}

void LoadCommand::declare(CLI::App& app) {
  app.add_option("REF", ref_, "Directory, file or URL; a pin may follow after '#'")->required();
  declare_offline(app, offline_);
  // Without extra arguments: else a filter would swallow REF, and take [ab] for a list.
  app.add_option("--filter", filters_, "Only tensors whose name matches; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  app.add_option("--memory", memory_, "Hold no more than this, and drop each tensor as it comes")
      ->type_name("SIZE");
  policy_.declare(app);
  app.add_flag("--digests", digests_, "SHA-256 of each tensor, from the memory it stands in");
  app.add_flag("--explain", explain_, "What was chosen, why, and where the time went");
}

Result<void> LoadCommand::run(const Call& call, const Environment& environment, Style style) {
  policy_.apply(environment);
  Wish wish{ref_, {.filters = filters_, .least_trust = policy_.required()}, digests_, offline_};
  if (!memory_.empty()) {
    wish.options.memory_bytes = TRY(memory_bytes(memory_));
  }
  Loaded loaded = TRY(load(call, environment, style, wish));
  loaded.explained = explain_;
  const auto peak_rss = peak_rss_bytes(environment.files);
  return environment.out.write(style.json ? as_json(loaded, peak_rss)
                                          : for_people(loaded, peak_rss));
}

}  // namespace weighbridge::cli
