// toml++ behind a C face. No exception leaves this file.
#include "base/config_toml.h"

#include <cstdio>
#include <new>
#include <sstream>
#include <stdexcept>
#include <string>

// Some malformed texts ("[![a]") break the parser's own expectations: that must not end the
// process.
#define TOML_ASSERT(expression)                                                                    \
    do {                                                                                           \
        if (!(expression))                                                                         \
            throw std::logic_error("the text is not understood");                                  \
    } while (false)
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored                                                                     \
    "-Wterminate" // some of its functions are noexcept: those end as before
#endif
#include <toml++/toml.h>
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

namespace
{

json_t *to_json(const toml::node &node);

json_t *table_to_json(const toml::table &table)
{
    json_t *object = json_object();
    for (auto &&[key, value] : table) {
        // Takes the value also when it fails; a NULL value is refused.
        if (json_object_setn_new(object, key.str().data(), key.str().size(), to_json(value)) != 0) {
            json_decref(object);
            return nullptr;
        }
    }
    return object;
}

json_t *array_to_json(const toml::array &array)
{
    json_t *list = json_array();
    for (auto &&value : array) {
        if (json_array_append_new(list, to_json(value)) != 0) {
            json_decref(list);
            return nullptr;
        }
    }
    return list;
}

template <typename Time> json_t *time_to_json(const Time &time)
{
    std::ostringstream text;
    text << time;
    return json_string(text.str().c_str());
}

json_t *to_json(const toml::node &node)
{
    switch (node.type()) {
    case toml::node_type::table:
        return table_to_json(*node.as_table());
    case toml::node_type::array:
        return array_to_json(*node.as_array());
    case toml::node_type::string:
        return json_stringn(node.as_string()->get().data(), node.as_string()->get().size());
    case toml::node_type::integer:
        return json_integer(node.as_integer()->get());
    case toml::node_type::floating_point:
        return json_real(node.as_floating_point()->get());
    case toml::node_type::boolean:
        return json_boolean(node.as_boolean()->get());
    case toml::node_type::date:
        return time_to_json(node.as_date()->get());
    case toml::node_type::time:
        return time_to_json(node.as_time()->get());
    case toml::node_type::date_time:
        return time_to_json(node.as_date_time()->get());
    case toml::node_type::none:
        break;
    }
    return nullptr;
}

void visit_key(const char *section, const toml::key &key, const toml::node &value,
               config_toml_visit visit, void *context)
{
    const config_toml_key found = {section, key.str().data(), key.str().size(),
                                   static_cast<long>(key.source().begin.line), to_json(value)};
    visit(context, &found);
}

void walk(const toml::table &root, config_toml_visit visit, void *context)
{
    for (auto &&[name, node] : root) {
        const toml::table *section = node.as_table();
        if (!section) {
            visit_key("", name, node, visit, context);
            continue;
        }
        const std::string text(name.str());
        // An empty section is visited through a key without a name: its own name may be wrong.
        if (section->empty())
            visit_key(text.c_str(), toml::key("", name.source()), node, visit, context);
        for (auto &&[key, value] : *section)
            visit_key(text.c_str(), key, value, visit, context);
    }
}

} // namespace

extern "C" enum config_toml_result config_toml_walk(const char *text, size_t len,
                                                    config_toml_visit visit, void *context,
                                                    struct config_toml_error *ret_error)
{
    try {
        const toml::table root = toml::parse(std::string_view(text, len));
        walk(root, visit, context);
        return CONFIG_TOML_OK;
    } catch (const toml::parse_error &error) {
        ret_error->line = static_cast<long>(error.source().begin.line);
        ret_error->column = static_cast<long>(error.source().begin.column);
        std::snprintf(ret_error->message, sizeof ret_error->message, "%.*s",
                      static_cast<int>(error.description().size()), error.description().data());
        return CONFIG_TOML_MALFORMED;
    } catch (const std::logic_error &error) {
        ret_error->line = 1;
        ret_error->column = 1;
        std::snprintf(ret_error->message, sizeof ret_error->message, "%s", error.what());
        return CONFIG_TOML_MALFORMED;
    } catch (...) {
        return CONFIG_TOML_NO_MEMORY;
    }
}
