#include "loader/admission.h"

#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "testing/manual_clock.h"

namespace weighbridge::loader {
namespace {

class AdmissionTest : public ::testing::Test {
 protected:
  sync::Budget budget_{100};
  testing::ManualClock clock_;
  base::Call call_{clock_};
};

TEST_F(AdmissionTest, slabs_are_admitted_in_order_while_there_is_room) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{40, 40, 40, 1}, false);
  EXPECT_EQ(admission.admit(3), 2U) << "the small one overtakes nobody";
  EXPECT_EQ(budget_.held_bytes(), 80U);
  admission.release(1);
  EXPECT_EQ(admission.admit(3), 4U);
}

TEST_F(AdmissionTest, what_is_not_asked_for_is_not_admitted) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{40, 40}, false);
  EXPECT_EQ(admission.admit(0), 1U);
  EXPECT_EQ(budget_.held_bytes(), 40U);
}

TEST_F(AdmissionTest, a_slab_larger_than_the_budget_is_admitted_alone) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{10, 1000, 10}, false);
  EXPECT_EQ(admission.admit(2), 1U);
  admission.release(0);
  EXPECT_EQ(admission.admit(1), 2U);
  admission.release(1);
  EXPECT_EQ(admission.admit(2), 3U);
}

TEST_F(AdmissionTest, slabs_that_are_of_use_only_together_are_admitted_together) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{60}, false);
  admission.add(std::vector<std::uint64_t>{30, 30}, true);
  EXPECT_EQ(admission.admit(1), 1U);
  EXPECT_EQ(budget_.held_bytes(), 60U);
  admission.release(0);
  EXPECT_EQ(admission.admit(1), 3U);
  EXPECT_EQ(budget_.held_bytes(), 60U);
}

TEST_F(AdmissionTest, a_slab_given_up_before_its_admission_costs_nothing) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{80, 80, 10}, false);
  EXPECT_EQ(admission.admit(2), 1U);
  admission.release(1);
  EXPECT_EQ(admission.admit(2), 3U);
  EXPECT_EQ(budget_.held_bytes(), 90U);
}

TEST_F(AdmissionTest, without_a_budget_all_is_admitted) {
  Admission admission(nullptr);
  admission.add(std::vector<std::uint64_t>{~std::uint64_t{0}, ~std::uint64_t{0}}, false);
  EXPECT_EQ(admission.admit(0), 2U);
  admission.release(0);
}

TEST_F(AdmissionTest, whoever_waits_goes_on_when_a_slab_is_released) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{80, 80}, false);
  ASSERT_TRUE(admission.wait(call_, 0).ok());
  std::jthread waiter([&] { EXPECT_TRUE(admission.wait(call_, 1).ok()); });
  admission.release(0);
}

TEST_F(AdmissionTest, whoever_waits_is_stopped_by_its_call) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{80, 80}, false);
  ASSERT_TRUE(admission.wait(call_, 0).ok());
  std::stop_source stop;
  std::jthread waiter([&] {
    const auto waited = admission.wait(call_.stopped_by(stop.get_token()), 1);
    EXPECT_EQ(waited.error().code(), base::Code::kCancelled);
  });
  stop.request_stop();
}

TEST_F(AdmissionTest, of_each_release_somebody_is_told_until_nobody_wants_to_know) {
  Admission admission(&budget_);
  admission.add(std::vector<std::uint64_t>{10, 10}, false);
  int told = 0;
  admission.tell_of_room([&] { ++told; });
  EXPECT_EQ(admission.admit(1), 2U);
  admission.release(0);
  admission.release(0);
  EXPECT_EQ(told, 1);
  admission.tell_of_room({});
  admission.release(1);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace weighbridge::loader
