#include "engine/index/image_without.hpp"

#include "engine/format/layouts.hpp"
#include "engine/index/entry.hpp"
#include "engine/types/value.hpp"

namespace firnlog::engine {
namespace {

// Rows of one kind, one behind the other.
template <class Row>
class Rows {
  public:
    Rows(Bytes blob, std::size_t at, std::size_t count)
        : bytes_(blob.subspan(at, count * sizeof(Row))) {}
    [[nodiscard]] std::size_t size() const { return bytes_.size() / sizeof(Row); }
    [[nodiscard]] Row operator[](std::size_t i) const {
        return load<Row>(bytes_.data() + i * sizeof(Row));
    }
    // All of them but one, if there is one to be left out.
    void copy(std::vector<std::byte>& to, std::optional<std::size_t> but) const {
        const auto cut = but ? *but * sizeof(Row) : bytes_.size();
        to.insert(to.end(), bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(cut));
        if (but)
            to.insert(to.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(cut + sizeof(Row)),
                      bytes_.end());
    }

  private:
    Bytes bytes_;
};

}  // namespace

std::optional<PageWithout> keys_without(Bytes blob, Stripe stripe, Tag tag,
                                        const AddressGoes& goes) {
    if (blob.size() < sizeof(layouts::KeysHead)) return std::nullopt;
    auto head = load<layouts::KeysHead>(blob.data());
    const auto expiries_at = sizeof head + std::size_t{head.entries} * sizeof(layouts::KeyEntry);
    const auto bindings_at = expiries_at + std::size_t{head.expiries} * sizeof(layouts::KeyExpiry);
    if (blob.size() != bindings_at + std::size_t{head.bindings} * sizeof(layouts::KeyBinding))
        return std::nullopt;
    const Rows<layouts::KeyEntry> entries(blob, sizeof head, head.entries);
    const Rows<layouts::KeyExpiry> expiries(blob, expiries_at, head.expiries);
    const Rows<layouts::KeyBinding> bindings(blob, bindings_at, head.bindings);

    PageWithout page;
    std::optional<std::size_t> entry_gone;
    std::optional<std::size_t> expiry_gone;
    std::optional<std::size_t> binding_gone;
    std::size_t objects = 0;
    for (std::size_t i = 0; i < entries.size() && !entry_gone; ++i) {
        const auto entry = Entry::from_halves(entries[i].hash, entries[i].rest);
        const bool is_object = entry.type() != Type::string;
        if (entry.tag() == tag && goes(entry.address())) {
            entry_gone = i;
            if (is_object) binding_gone = objects;
        }
        objects += is_object ? 1 : 0;
    }
    if (!entry_gone) {
        page.bytes.assign(blob.begin(), blob.end());
        return page;
    }
    for (std::size_t i = 0; i < expiries.size(); ++i)
        if (expiries[i].hash == tag.high && (expiries[i].rest >> 60) == tag.low) expiry_gone = i;
    if (binding_gone) {
        if (*binding_gone >= bindings.size()) return std::nullopt;
        page.strays = bindings[*binding_gone].oid.home() != stripe ? 1 : 0;
    }
    page.gone = 1;
    page.expires = expiry_gone ? 1 : 0;
    head.entries -= 1;
    head.expiries -= page.expires;
    head.bindings -= binding_gone ? 1 : 0;
    page.bytes.resize(sizeof head);
    store(page.bytes.data(), head);
    entries.copy(page.bytes, entry_gone);
    expiries.copy(page.bytes, expiry_gone);
    bindings.copy(page.bytes, binding_gone);
    return page;
}

std::optional<PageWithout> objects_without(Bytes blob, const std::set<Oid>& oids) {
    PageWithout page;
    while (!blob.empty()) {
        if (blob.size() < sizeof(layouts::ObjectHead)) return std::nullopt;
        const auto head = load<layouts::ObjectHead>(blob.data());
        if (head.length > blob.size() - sizeof head) return std::nullopt;
        const auto object = blob.first(sizeof head + head.length);
        if (oids.contains(head.oid))
            ++page.gone;
        else
            page.bytes.insert(page.bytes.end(), object.begin(), object.end());
        blob = blob.subspan(object.size());
    }
    return page;
}

}  // namespace firnlog::engine
