#include "served_model.h"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include "base/check.h"
#include "formats/seal.h"
#include "hash/sha256.h"
#include "sources/http_source.h"
#include "transfer/make_seal.h"

namespace weighbridge::tests {

using base::Call;
using base::Result;
using formats::testing::MadeTensor;
using sources::testing::Bytes;

namespace {

Bytes to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

bool Outcome::has_named_error() const {
  return error && error->code() != base::Code::kInternal && error->file() &&
         !error->message().empty();
}

std::string describe(const Outcome& outcome) {
  return fmt::format("{} tensors, {} of them wrong, {}",
                     outcome.tensors,
                     outcome.wrong,
                     outcome.error ? fmt::format("{}: {} ({})",
                                                 base::facts(outcome.error->code()).name,
                                                 outcome.error->message(),
                                                 outcome.error->file().value_or("no file"))
                                   : "no error");
}

ServedModel::ServedModel(std::chrono::milliseconds patience) {
  net::HttpClientOptions options;
  options.stall_timeout = patience;
  options.no_proxy = "*";
  client_ = net::make_http_client(options);
}

void ServedModel::serve(const std::string& path, const Bytes& bytes, std::string etag) {
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  server_.put(path_of(path), testing::make_object(std::move(text), std::move(etag)));
}

void ServedModel::add_file(const std::string& path, Bytes bytes) {
  serve(path, bytes);
  files_.files[path] = std::move(bytes);
}

void ServedModel::add_safetensors(const std::string& path,
                                  const std::vector<MadeTensor>& tensors,
                                  std::uint64_t header_bytes) {
  add_file(path, formats::testing::make_safetensors(tensors, header_bytes));
  for (const MadeTensor& tensor : tensors) {
    expected_[tensor.name] = formats::testing::bytes_of_tensor(tensor);
  }
}

void ServedModel::add_two_shards() {
  const std::vector<MadeTensor> first = {
      {"embed", 900'001}, {"l.0.w", 1'200'000}, {"l.0.b", 77}, {"empty", 0}};
  const std::vector<MadeTensor> second = {{"l.1.w", 1'100'000}, {"l.1.b", 4096}, {"head", 150'000}};
  add_safetensors("one.safetensors", first, 6000);
  add_safetensors("two.safetensors", second, 9000);
  std::string map;
  for (const auto& [shard, tensors] : {std::pair("one", first), std::pair("two", second)}) {
    for (const MadeTensor& tensor : tensors) {
      map += fmt::format("{}\"{}\":\"{}.safetensors\"", map.empty() ? "" : ",", tensor.name, shard);
    }
  }
  add_file("model.safetensors.index.json",
           to_bytes(fmt::format(R"({{"metadata":{{}},"weight_map":{{{}}}}})", map)));
  add_file("config.json", to_bytes(R"({"layers":2})"));
}

std::string ServedModel::seal() {
  const Call call(clock_);
  transfer::Progress progress;
  const auto listing = files_.list(call);
  auto seal = transfer::make_seal(call, files_, **listing, progress);
  WB_CHECK(seal.ok(), "the model of a test must be sealable");
  auto bytes = formats::write_seal(*seal);
  WB_CHECK(bytes.ok(), "the seal of a test must be writable");
  std::string digest = hash::Sha256::of(*bytes).hex();
  serve(std::string(formats::kSealName), *bytes);
  files_.files[std::string(formats::kSealName)] = std::move(bytes).value();
  return digest;
}

Result<void> ServedModel::take_all(const Call& call,
                                   const std::string& what,
                                   loader::LoadOptions options,
                                   Outcome& outcome) {
  const auto ref = TRY(model::Ref::parse(server_.url("/m/") + what));
  const auto source = TRY(sources::open_http_source(*client_, ref));
  // A new one each time: the last one would know the trees of what a digest names.
  transfer::Transfer transfer(first_seen_, ++loads_);
  const auto loader =
      TRY(loader::Loader::open(call, {*source, transfer, pool_}, ref, std::move(options)));
  while (const auto tensor = TRY(loader->next(call))) {
    ++outcome.tensors;
    if (!std::ranges::equal(tensor->bytes(), expected_.at(std::string(tensor->name())))) {
      ++outcome.wrong;
    }
  }
  outcome.report = loader->report();
  return {};
}

Outcome ServedModel::load(const Call& call,
                          const std::string& what,
                          std::vector<std::string> filters) {
  Outcome outcome;
  auto taken = take_all(call, what, {std::move(filters)}, outcome);
  if (!taken.ok()) {
    outcome.error = std::move(taken).error();
  }
  return outcome;
}

Outcome ServedModel::load(const std::string& what, std::vector<std::string> filters) {
  return load(Call(clock_), what, std::move(filters));
}

}  // namespace weighbridge::tests
