#include "src/crashtest/verify.hpp"

#include <algorithm>
#include <charconv>
#include <set>

#include "src/crashtest/text.hpp"

namespace firnlog::crashtest {
namespace {

constexpr int kReplyMs = 60'000;

void check_shared(std::span<const std::unique_ptr<Client>> clients, std::int64_t base,
                  std::int64_t value, Verified& out) {
    std::int64_t acked_max = base, unanswered = 0;
    for (const auto& client : clients) {
        acked_max = std::max(acked_max, client->ledger().shared_acked_max());
        unanswered += client->ledger().shared_unanswered();
    }
    const auto text = "the counter that all clients increment stands at " + std::to_string(value);
    if (value > acked_max + unanswered)
        out.violations.push_back({"wrong-value",
                                  text + "; no more than " +
                                      std::to_string(acked_max + unanswered) +
                                      " increments were sent",
                                  {}});
    if (value < base)
        out.violations.push_back(
            {"lost-ack", text + "; before this cycle it stood at " + std::to_string(base), {}});
}

// An acknowledged write that is lost, and one that was sent later and is there: no one order of all
// writes has a prefix like that.
void check_order(std::span<const std::unique_ptr<Client>> clients,
                 std::span<const Judgement> judged, Verified& out) {
    for (std::size_t i = 0; i < judged.size(); ++i)
        for (std::size_t j = 0; j < judged.size(); ++j) {
            const auto lost_us = judged[i].lost_acked_us, sent_us = judged[j].present_sent_us;
            if (i == j || lost_us == 0 || sent_us <= lost_us) continue;
            out.violations.push_back(
                {"order",
                 "a write of " + clients[i]->ledger().name() +
                     " was acknowledged and is lost, while one of " + clients[j]->ledger().name() +
                     ", sent " + std::to_string(sent_us - lost_us) + " us later, is there",
                 {{lost_us, clients[i]->ledger().name() + ": acknowledged, lost"},
                  {sent_us, clients[j]->ledger().name() + ": sent, there"}}});
            return;
        }
}

bool is_gone(const Reply& reply) { return reply.is_error("CLOSED") || reply.is_error("LATE"); }

}  // namespace

bool foreign_keys(Connection& connection, std::span<const std::unique_ptr<Client>> clients,
                  std::vector<Violation>& out) {
    std::set<std::string, std::less<>> ours{std::string(kSharedKey), "ct:probe"};
    for (const auto& client : clients)
        ours.insert(client->ledger().keys().begin(), client->ledger().keys().end());
    std::string cursor = "0";
    do {
        const auto reply = connection.ask({"SCAN", cursor, "COUNT", "1000"}, kReplyMs);
        if (is_gone(reply)) return false;
        if (reply.kind != Reply::Kind::array || reply.items.size() != 2) {
            out.push_back({"error-reply", "SCAN answers " + printable(reply.text), {}});
            return true;
        }
        cursor = reply.items[0].text;
        for (const auto& key : reply.items[1].items)
            if (!ours.contains(key.text))
                out.push_back({"foreign-key", "a key nobody wrote: " + printable(key.text), {}});
    } while (cursor != "0");
    return true;
}

std::optional<SharedCounter> shared_counter(Connection& connection) {
    const auto reply = connection.ask({"GET", kSharedKey}, kReplyMs);
    if (is_gone(reply)) return std::nullopt;
    SharedCounter out;
    if (reply.kind == Reply::Kind::null) return out;
    const auto* const end = reply.text.data() + reply.text.size();
    if (reply.kind != Reply::Kind::bulk || reply.text.empty() ||
        std::from_chars(reply.text.data(), end, out.value).ptr != end)
        out.text = reply.kind == Reply::Kind::bulk && reply.text.empty() ? "an empty value"
                                                                         : printable(reply.text);
    return out;
}

std::optional<Verified> verify(Connection& connection,
                               std::span<const std::unique_ptr<Client>> clients,
                               const Features& features, std::int64_t& shared_base) {
    Verified out;
    std::vector<std::vector<Seen>> seen(clients.size());
    for (std::size_t i = 0; i < clients.size(); ++i)
        if (!clients[i]->look(connection, seen[i])) return std::nullopt;
    std::optional<std::int64_t> shared;
    if (features.counters) {
        const auto counter = shared_counter(connection);
        if (!counter) return std::nullopt;
        shared = counter->value;
        if (!counter->text.empty())
            out.violations.push_back(
                {"wrong-value", "the shared counter holds " + counter->text, {}});
        check_shared(clients, shared_base, *shared, out);
    }
    if (features.scan && !foreign_keys(connection, clients, out.violations)) return std::nullopt;

    std::vector<Judgement> judged;
    for (std::size_t i = 0; i < clients.size(); ++i) {
        judged.push_back(clients[i]->ledger().judge(seen[i], shared));
        auto& one = judged.back();
        out.acks += one.acked;
        out.lost += one.acked_lost;
        if (one.lost_acked_us != 0 &&
            (out.lost_acked_us == 0 || one.lost_acked_us < out.lost_acked_us)) {
            out.lost_acked_us = one.lost_acked_us;
            out.lost_timeline = std::move(one.lost_timeline);
        }
        std::ranges::move(one.violations, std::back_inserter(out.violations));
    }
    check_order(clients, judged, out);
    for (std::size_t i = 0; i < clients.size(); ++i) clients[i]->ledger().rebase(seen[i]);
    if (shared) shared_base = *shared;
    return out;
}

}  // namespace firnlog::crashtest
