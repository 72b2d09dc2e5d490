# The program, with its manual page and what completes it in three shells: it prints them itself, so
# they are made when it is installed.

install(TARGETS weighbridge)

set(help_directory ${PROJECT_BINARY_DIR}/help)
set(shells bash zsh fish)
install(CODE "
  file(MAKE_DIRECTORY \"${help_directory}\")
  execute_process(COMMAND \"$<TARGET_FILE:weighbridge>\" man
                  OUTPUT_FILE \"${help_directory}/weighbridge.1\" COMMAND_ERROR_IS_FATAL ANY)
  foreach(shell ${shells})
    execute_process(COMMAND \"$<TARGET_FILE:weighbridge>\" completion \${shell}
                    OUTPUT_FILE \"${help_directory}/\${shell}\" COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
")
install(FILES ${help_directory}/weighbridge.1 DESTINATION share/man/man1)
install(FILES ${help_directory}/bash DESTINATION share/bash-completion/completions
        RENAME weighbridge)
install(FILES ${help_directory}/zsh DESTINATION share/zsh/site-functions RENAME _weighbridge)
install(FILES ${help_directory}/fish DESTINATION share/fish/vendor_completions.d
        RENAME weighbridge.fish)
