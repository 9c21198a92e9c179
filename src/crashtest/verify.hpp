#pragma once
// verify: everything the server owes after a restart, looked at and judged.
//
// Each client's ledger judges its own keys; here stands what only all of them together show: the
// order across clients, the shared counter, keys that nobody wrote, and what was lost.

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "src/crashtest/connection.hpp"
#include "src/crashtest/workload.hpp"

namespace firnlog::crashtest {

struct Verified {
    std::vector<Violation> violations;
    std::uint64_t acks = 0;
    std::uint64_t lost = 0;
    std::int64_t lost_acked_us = 0;  // when the first lost one was acknowledged; 0: none is lost
    std::vector<Moment> lost_timeline;

    // How old the first lost one was at that time.
    [[nodiscard]] double loss_ms(std::int64_t at_us) const noexcept {
        return lost_acked_us == 0 || at_us < lost_acked_us
                   ? 0.0
                   : static_cast<double>(at_us - lost_acked_us) / 1000;
    }
};

// Keys that no client has written. False: the server did not answer.
[[nodiscard]] bool foreign_keys(Connection& connection,
                                std::span<const std::unique_ptr<Client>> clients,
                                std::vector<Violation>& out);

// The counter that all clients increment; 0 where it is missing, and `text` where it holds
// something else. Nothing: the server did not answer.
struct SharedCounter {
    std::int64_t value = 0;
    std::string text;
};
[[nodiscard]] std::optional<SharedCounter> shared_counter(Connection& connection);

// Also makes what was seen the base of the next cycle. `shared_base` is the shared counter as last
// seen. Nothing: the server did not answer.
[[nodiscard]] std::optional<Verified> verify(Connection& connection,
                                             std::span<const std::unique_ptr<Client>> clients,
                                             const Features& features, std::int64_t& shared_base);

}  // namespace firnlog::crashtest
