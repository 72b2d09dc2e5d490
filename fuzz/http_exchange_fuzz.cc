// Whatever a server sends as its answer: read it without a fault, in steps of any size and for any
// kind of request, and hold what the header promises of the result. The first two bytes say how.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/check.h"
#include "net/answer_reader.h"
#include "testing/memory_sink.h"

namespace {

using weighbridge::net::Answer;
using weighbridge::net::AnswerReader;
using weighbridge::net::Asked;

constexpr std::size_t kSinkBytes = 512;

// Gives what it holds in steps, and then the end. Confined, as every stream.
class Stream final : public weighbridge::net::ByteStream {
 public:
  Stream(std::span<const std::byte> bytes, std::size_t step) : bytes_(bytes), step_(step) {}

  weighbridge::base::Result<std::size_t> receive(std::span<std::byte> into) override {
    WB_CHECK(!into.empty(), "no room to receive into");
    const std::size_t count = std::min({into.size(), step_, bytes_.size()});
    std::copy_n(bytes_.begin(), count, into.begin());
    bytes_ = bytes_.subspan(count);
    return count;
  }

  void begin_wait() override {}

 private:
  std::span<const std::byte> bytes_;
  const std::size_t step_;
};

Asked asked_by(std::uint8_t mode) {
  Asked asked;
  asked.head_only = (mode & 1U) != 0;
  asked.any_status = (mode & 2U) != 0 || asked.head_only;
  if ((mode & 4U) != 0) {
    asked.range = weighbridge::base::Range{10, 110};
  }
  if ((mode & 8U) != 0) {
    asked.expect = {"\"v1\"", "Mon, 01 Jan 2024 00:00:00 GMT", 200};
  }
  return asked;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) {
    return 0;
  }
  const Asked asked = asked_by(data[0]);
  weighbridge::testing::MemorySink sink(kSinkBytes, 64);
  Answer answer(asked, {}, sink);
  Stream stream(std::as_bytes(std::span(data, size)).subspan(2), data[1] + std::size_t{1});
  AnswerReader reader(stream, answer);
  const auto head = answer.finish(reader.read());
  WB_CHECK(sink.bytes().size() <= kSinkBytes, "more than the sink has room for");
  if (reader.reusable()) {
    WB_CHECK(answer.body_complete() && answer.head_complete(), "half an answer was reusable");
  }
  if (head.ok()) {
    WB_CHECK(head->status >= 200 && head->status <= 999, "an answer without its status");
  }
  const bool delivers = head.ok() && (head->status == 200 || head->status == 206);
  WB_CHECK(sink.bytes().empty() || asked.any_status || !head.ok() || delivers,
           "the body of an error was delivered");
  WB_CHECK(!asked.range || asked.any_status || !delivers || head->status == 200 ||
               sink.bytes().size() <= asked.range->size(),
           "more than the range");
  return 0;
}
